"""``ldm-lab studio``: the web page; its code lies in the repository's ``apps`` folder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from ldm_lab.cli.checkout import import_from_checkout
from ldm_lab.cli.options import given
from ldm_lab.core.errors import MissingDependencyError

AUTH_VARIABLE = "LDM_LAB_STUDIO_AUTH"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """How the page is offered; the fields are those of ``apps.studio.Options``, which judges them.

    Attributes:
        host: Address to listen at; the default is this machine alone.
        port: Port to listen at.
        auth: Name and password that visitors need, name:password; better in the variable LDM_LAB_STUDIO_AUTH, which no
            list of processes shows.
        allow_hosts: A name that the page answers to besides its address, such as that of a proxy; may be repeated.
        root_path: Where a proxy puts the page, such as /studio.
        share: Open a public link through Gradio's servers; needs auth.
        unprotected: Listen beyond this machine though nobody needs a password.
        mcp: Offer the endpoints to language models too.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    auth: str | None = None
    allow_hosts: Annotated[UseAppendAction[tuple[str, ...]], arg(name="allow-host")] = ()
    root_path: str = ""
    share: bool = False
    unprotected: bool = False
    mcp: bool = False


def studio(
    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER")] = (),
    *,
    offer: Annotated[Offer, arg(name="")] = Offer(),
    device: str = "auto",
    models_in_memory: int = 2,
) -> None:
    """Open the web page, and serve it until Ctrl-C.

    Args:
        folders: Checkpoints to offer besides the shipped ones.
        offer: How the page is offered.
        device: auto, cpu, cuda, cuda:1, mps; one process a GPU.
        models_in_memory: How many models stay loaded.
    """
    app = load_page()
    options = app.Options(**given(replace(offer, auth=offer.auth or os.environ.get(AUTH_VARIABLE))))
    models = app.Models(folders, device=device, capacity=models_in_memory)
    address = f"http://{options.host}:{options.port}{options.root_path}"
    print(f"ldm_lab studio: {address} on {models.device}; Ctrl-C ends it", flush=True)
    app.launch(models, options)


def load_page() -> ModuleType:
    """The page of the repository.

    Raises:
        MissingDependencyError: If the package was installed alone, or without Gradio.
    """
    try:
        return import_from_checkout("apps.studio", what="the studio")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "gradio":
            raise
        raise MissingDependencyError("the studio needs Gradio; pip install -e '.[app,metrics,text]'") from error
