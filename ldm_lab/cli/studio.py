"""``ldm-lab studio``: the web page; its code lies in the repository's ``apps`` folder."""

import os
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from ldm_lab.cli.checkout import import_from_checkout
from ldm_lab.core.errors import MissingDependencyError

AUTH_VARIABLE = "LDM_LAB_STUDIO_AUTH"


def studio(
    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER")] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    device: str = "auto",
    models_in_memory: int = 2,
    auth: str | None = None,
    allow_host: UseAppendAction[tuple[str, ...]] = (),
    root_path: str = "",
    share: bool = False,
    unprotected: bool = False,
    mcp: bool = False,
) -> None:
    """Open the web page, and serve it until Ctrl-C.

    Args:
        folders: Checkpoints to offer besides the shipped ones.
        host: Address to listen at; the default is this machine alone.
        port: Port to listen at.
        device: auto, cpu, cuda, cuda:1, mps; one process a GPU.
        models_in_memory: How many models stay loaded.
        auth: Name and password that visitors need, name:password; better in the variable LDM_LAB_STUDIO_AUTH, which no
            list of processes shows.
        allow_host: A name that the page answers to besides its address, such as that of a proxy; may be repeated.
        root_path: Where a proxy puts the page, such as /studio.
        share: Open a public link through Gradio's servers; needs auth.
        unprotected: Listen beyond this machine though nobody needs a password.
        mcp: Offer the endpoints to language models too.
    """
    app = _load_page()
    options = app.Options(
        host=host,
        port=port,
        auth=auth or os.environ.get(AUTH_VARIABLE),
        allow_hosts=allow_host,
        root_path=root_path,
        share=share,
        unprotected=unprotected,
        mcp=mcp,
    )
    models = app.Models(folders, device=device, capacity=models_in_memory)
    print(f"ldm_lab studio: http://{host}:{port}{root_path} on {models.device}; Ctrl-C ends it", flush=True)
    app.launch(models, options)


def _load_page():  # type: ignore[no-untyped-def]  # a module, of which only its names here are known
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
