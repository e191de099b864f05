"""A real JupyterLab and a real browser: what the browser tests, the screenshots and the measurements open panels in.

with jupyter_lab(folder) as url, chromium() as browser:
    notebook = Notebook.open(browser, url, folder, cells=["…"])
    notebook.run_all()
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import nbformat

from tests.serving import free_port, wait_for

START_SEC = 300.0
RUN_MSEC = 300_000  # of tests that would otherwise hang; nothing is measured by it
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--disable-gpu",  # pages are put together by the processor, which is much quicker than a GPU in software
    "--enable-unsafe-swiftshader",  # only WebGL, which Gradio's editor of images needs, is done by one
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # the pages are our own, and containers do not permit the sandbox
)
# What Lab itself says on its console, without any panel.
KNOWN_NOISE = ("favicon", "Download the React DevTools", "net::ERR_INTERNET_DISCONNECTED")


def find_chromium() -> str | None:
    """The machine's own Chromium; None: there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@contextlib.contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """Start JupyterLab on a free port of this machine alone, with nobody's settings; yields its address."""
    port = free_port()
    config = folder / ".jupyter"
    _ask_for_no_news(config / "jupyterlab_settings_dir")
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    own = {name: str(config / name.lower()) for name in names}
    environment = os.environ | own | {"IPYTHONDIR": str(config / "ipython"), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_CURRENT_TEST", None)  # panels raise under pytest, and here a person looks at them
    options = [
        *("--no-browser", "--allow-root", "--expose-app-in-browser", "--ip=127.0.0.1", f"--port={port}"),
        *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    with (folder / "jupyter.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        said = folder / "jupyter.log"
        wait_for(f"{url}/api", server, patience_sec=START_SEC, last_words=lambda: said.read_text()[-2000:])
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window, by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET))
        yield browser
        browser.close()


@dataclass(eq=False)
class Notebook:
    """A notebook that is open in JupyterLab.

    Attributes:
        page: Playwright's page.
        errors: What was said on the console as an error.
        sent: Messages that went to the kernel, as they come.
    """

    page: Any
    errors: list[str] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        browser: Any,
        url: str,
        folder: Path,
        cells: Sequence[str],
        *,
        name: str = "test",
        size: tuple[int, int] = (1280, 900),
    ) -> Self:
        """Write a notebook of code cells and open it; nothing is run yet.

        Args:
            browser: Of ``chromium``.
            url: Of ``jupyter_lab``.
            folder: That JupyterLab was started with.
            cells: Their code.
            name: Of the file.
            size: Of the window, in pixels.
        """
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, folder / f"{name}.ipynb")
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        opened = cls(page)
        page.on("console", opened._hear)
        page.on("pageerror", lambda error: opened.errors.append(str(error)))
        page.on("websocket", opened._listen_in)
        page.goto(f"{url}/lab/tree/{name}.ipynb?reset", wait_until="domcontentloaded", timeout=RUN_MSEC)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=RUN_MSEC)
        page.wait_for_function(KERNEL_IS_READY, timeout=RUN_MSEC)
        return opened

    def run_all(self) -> None:
        """Run the cells one by one, and wait until the kernel has done each; work of panels goes on.

        Raises:
            RuntimeError: If a cell fails.
        """
        for place in range(self.page.evaluate(f"() => {CELLS}.length")):
            self.page.evaluate(RUN_CELL, place)
            self.page.wait_for_function(CELL_IS_RUN, arg=place, timeout=RUN_MSEC)
            errors = self.page.evaluate(ERRORS_OF_CELL, place)
            if errors:
                raise RuntimeError(f"cell {place} failed: {errors[0]}")

    def evaluate(self, expression: str) -> Any:
        """The value of a Python expression in the kernel, which must be plain: numbers, words, lists."""
        text = self.page.evaluate(ASK_KERNEL, f"print(__import__('json').dumps({expression}))")
        return json.loads(text)

    def wait_until(self, expression: str) -> None:
        """Wait until a Python expression is true in the kernel; what the browser sends takes a moment to arrive."""
        end = time.monotonic() + RUN_MSEC / 1000
        while not self.evaluate(f"bool({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} did not become true")
            self.page.wait_for_timeout(50)

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Carry out a command of JupyterLab; what it returns may come late and is not waited for."""
        self.page.evaluate(
            "([name, arguments]) => { window.jupyterapp.commands.execute(name, arguments); }", [name, arguments or {}]
        )

    def set_theme(self, *, dark: bool) -> None:
        """Light or dark."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {'Dark' if dark else 'Light'}"})
        self.page.wait_for_selector(
            f'body[data-jp-theme-light="{str(not dark).lower()}"]', state="attached", timeout=RUN_MSEC
        )

    def close(self) -> None:
        """Close the page; its kernel ends with JupyterLab."""
        self.page.close()

    def _listen_in(self, socket: Any) -> None:
        if "/api/kernels/" in socket.url:
            socket.on("framesent", lambda message: self.sent.append(message))

    def _hear(self, message: Any) -> None:
        if message.type == "error" and not any(noise in message.text for noise in KNOWN_NOISE):
            self.errors.append(message.text)


CELLS = "window.jupyterapp.shell.currentWidget.content.widgets"
RUN_CELL = """(place) => {
    window.jupyterapp.shell.currentWidget.content.activeCellIndex = place;
    window.jupyterapp.commands.execute("notebook:run-cell");
}"""
CELL_IS_RUN = f"(place) => {CELLS}[place].model.executionCount !== null"
ERRORS_OF_CELL = f"""(place) => {CELLS}[place].model.sharedModel.getOutputs()
    .filter((output) => output.output_type === "error").map((output) => `${{output.ename}}: ${{output.evalue}}`)"""

ASK_KERNEL = """async (code) => {
    const { kernel } = window.jupyterapp.shell.currentWidget.context.sessionContext.session;
    let text = "";
    const future = kernel.requestExecute({ code, store_history: false });
    future.onIOPub = ({ content, header }) => {
        if (header.msg_type === "stream") text += content.text;
        if (header.msg_type === "error") text = JSON.stringify(`${content.ename}: ${content.evalue}`);
    };
    await future.done;
    return text;
}"""


# A kernel that is idle before it is connected would let go of what it is asked to run.
KERNEL_IS_READY = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
    const kernel = session?.session?.kernel;
    return session?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""


def _ask_for_no_news(settings: Path) -> None:
    """Lab would ask in a corner of the page whether it may fetch news."""
    path = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"fetchNews": "false"}')
