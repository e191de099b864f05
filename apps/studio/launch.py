"""How the page is started: on this machine alone, without accounts elsewhere, and with an end to all that it keeps."""

import importlib.util
import ipaddress
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import gradio as gr
from PIL import Image
from starlette.middleware import Middleware

from apps.studio.cells import Cells
from apps.studio.desks import Desks
from apps.studio.guards import LOOPBACK, MAX_UPLOAD_BYTES, BodyLimit, PlainWords, SameOrigin
from apps.studio.look import CSS, THEME
from apps.studio.models import Models
from apps.studio.page import SWEEP_SEC, build_app
from apps.studio.requests import TASK_OF
from ldm_lab.core.errors import MissingDependencyError, RequestError
from ldm_lab.core.images import MAX_PIXELS

DEFAULT_PORT = 7860
MAX_THREADS = 8
QUEUE_SIZE = 16
MAX_VISITORS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How the page is offered.

    Attributes:
        host: Address to listen at.
        port: Port to listen at.
        auth: Name and password that visitors need, as "name:password".
        allow_hosts: Names, besides its own address, that the page answers to, such as that of a proxy.
        share: Open a public link through Gradio's servers, which needs ``auth``.
        unprotected: Listen beyond this machine though nobody needs a password.
        root_path: Where a proxy puts the page, such as "/studio".
        mcp: Offer the endpoints to language models as well.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    auth: str | None = None
    allow_hosts: tuple[str, ...] = ()
    share: bool = False
    unprotected: bool = False
    root_path: str = ""
    mcp: bool = False

    def __post_init__(self) -> None:
        if self.auth is not None and not all(self.auth.partition(":")[::2]):
            raise RequestError("auth must be a name and a password with a colon between them: name:password")
        if self.share and self.auth is None:
            raise RequestError("share opens the page to everybody; give --auth name:password with it")
        if not self.is_local and self.auth is None and not self.unprotected:
            raise RequestError(
                f"host is {self.host!r}, which others reach; give --auth name:password, or --unprotected if a proxy "
                "or a closed network already decides who comes in"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or _is_loopback(self.host)

    @property
    def credentials(self) -> tuple[str, str] | None:
        """Name and password."""
        return None if self.auth is None else self.auth.partition(":")[::2]  # type: ignore[return-value]


def launch(models: Models, options: Options | None = None) -> None:
    """Serve the page until Ctrl-C, or until the process is asked to end; see ``serve``."""
    signal.signal(signal.SIGTERM, _end)
    with serve(models, options) as page:
        page.block_thread()


def _end(number: int, frame: FrameType | None) -> None:
    """What a service or a container sends ends the process in good order, so that nothing of it is left behind."""
    raise SystemExit(128 + number)


@contextmanager
def serve(models: Models, options: Options | None = None) -> Iterator[gr.Blocks]:
    """Serve the page as long as the block lasts; then let go of the models and of everything it has kept.

    Args:
        models: What it offers.
        options: How it is offered; None: to this machine alone.

    Raises:
        RequestError: If the port is taken.
        MissingDependencyError: If ``mcp`` is asked for and its package is not there.
    """
    options = options or Options()
    if options.mcp:
        _need_mcp()
    with _bounded_pictures(), _own_folder() as folder:
        desks, cells = Desks(), Cells(folder / "cells")
        page = build_app(models, desks, cells)
        page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1)
        try:
            _start(page, options)
            models.warm_up(*TASK_OF)
            with _every(SWEEP_SEC, desks.sweep, cells.sweep):
                yield page
        finally:
            page.close(verbose=False)
            models.close()


def _start(page: gr.Blocks, options: Options) -> None:
    try:
        page.launch(**_arguments(options), prevent_thread_lock=True)
    except OSError as error:
        raise RequestError(
            f"port {options.port} of {options.host} cannot be used ({error}); choose another with --port"
        ) from error


def _arguments(options: Options) -> dict[str, Any]:
    """Everything that Gradio would otherwise decide by itself, or by variables of the environment."""
    return {
        "server_name": options.host,
        "server_port": options.port,
        "auth": options.credentials,
        "share": options.share,
        "root_path": options.root_path,
        "mcp_server": options.mcp,
        "max_threads": MAX_THREADS,
        "max_file_size": MAX_UPLOAD_BYTES,
        "state_session_capacity": MAX_VISITORS,
        "allowed_paths": [],
        "show_error": False,
        "strict_cors": True,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "quiet": True,
        "_frontend": False,  # or it asks its own page once, for three seconds, and gives up on a busy machine
        "footer_links": ["api", "settings"],
        "theme": THEME,
        "css": CSS,
        "app_kwargs": {"middleware": _guards(options), "docs_url": None, "redoc_url": None},
    }


def _guards(options: Options) -> Sequence[Middleware]:
    """The first one sees a request first."""
    hosts = {*LOOPBACK, options.host, *options.allow_hosts}
    return [
        Middleware(PlainWords),
        Middleware(SameOrigin, hosts=hosts, any_address=not options.is_local),
        Middleware(BodyLimit),
    ]


@contextmanager
def _every(period_sec: float, *actions: Callable[[], None]) -> Iterator[None]:
    """Do something again and again as long as the block lasts."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(period_sec):
            for act in actions:
                act()

    thread = threading.Thread(target=repeat, name="ldm_lab studio sweeps", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _bounded_pictures() -> Iterator[None]:
    """What PIL decodes for Gradio is bounded as what ldm_lab decodes is; PIL refuses from twice this number on."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for uploads and results that nobody else can read, and that goes with the page.

    Gradio asks the environment for it at every upload, so that a page that is opened beside another one has to give the
    variable back.
    """
    os.environ.pop("GRADIO_SHARE", None)  # a variable shall not open the page to the world
    folder, before = Path(tempfile.mkdtemp(prefix="ldm_lab-studio-")), os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "files")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ["GRADIO_TEMP_DIR"]
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _need_mcp() -> None:
    if importlib.util.find_spec("mcp") is None:
        raise MissingDependencyError("--mcp needs the package mcp; pip install -e '.[app,mcp,metrics,text]'")
