"""The panels timed in a real JupyterLab, from a person's hand to what the browser shows.

    python -m benchmarks.panels [--model NAME] [--rounds N] [--output FOLDER]

Times are taken by the browser's own clock: they begin with the event of the hand and end when the page has changed.
"""

import contextlib
import functools
import json
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.panel_report import Figure, Kept, PanelReport
from ldm_lab.evaluation.report import circumstances, render, write_report
from tests.browser.jupyter import CELLS, RUN_CELL, RUN_MSEC, Notebook, chromium, find_chromium, jupyter_lab

HEIGHT = 2600  # enough for the tallest panel: what is not in the window is not drawn
MASK_SIDE = 512
STOPPED_WALK = 1000  # steps of a walk that is stopped in its midst
LIMIT_KERNEL_MSEC = 120.0  # of what asks the kernel and no network
LIMIT_PREVIEW_MSEC = 250.0  # beyond one step
LIMIT_STOP_MSEC = 100.0  # beyond one step
MAX_FRAMES_PER_SECOND = 10.0
MAX_GROWTH_PERCENT = 1.0
MEMORY = "[__import__('gc').collect(), __import__('psutil').Process().memory_info().rss][1]"

SETUP = """
import ldm_lab as lab
from ldm_lab.session.settings_grid import seconds_a_step
from ldm_lab.widgets import *
session = lab.Session(lab.load({model!r}))
"""
GENERATE = "panel = GeneratePanel(session)\npanel"
INPAINT = f"""
from PIL import Image
panel = InpaintPanel(session, Image.effect_noise(({MASK_SIDE}, {MASK_SIDE}), 64).convert("RGB"))
panel
"""
RUNS = """
run = session.model.run("text_to_image", prompt="a red circle", seeds=range(4), num_steps=4)
other = session.model.run("text_to_image", prompt="a blue star", seeds=[0], num_steps=4)
"""

STATUS = "document.querySelector('.ldm-panel .ldm-status')"
FRAME = "document.querySelector('.ldm-frame-view img')?.src"
LEGEND = "document.querySelector('.ldm-mask-key-cells')?.parentElement.textContent"

WATCH = """({ event, seen }) => {
    const look = new Function(`return ${seen}`);
    const watch = (window.ldmWatch = { before: look(), begin: performance.now(), end: null });
    if (event) {
        watch.begin = null;
        document.addEventListener(event, () => (watch.begin = performance.now()), { capture: true, once: true });
    }
    const observer = new MutationObserver(() => {
        if (watch.begin === null || look() === watch.before) return;
        watch.end = performance.now();
        observer.disconnect();
    });
    observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
WRITE_CELL = f"(code) => {CELLS}[1].model.sharedModel.setSource(code)"
COUNT_FRAMES = f"""() => {{
    const frames = (window.ldmFrames = []);
    const view = document.querySelector(".ldm-frame-view");
    const observer = new MutationObserver(() => {{
        if ({STATUS}.dataset.kind === "busy") frames.push(performance.now());
        else observer.disconnect();
    }});
    observer.observe(view, {{ subtree: true, childList: true, attributes: true, attributeFilter: ["src"] }});
}}"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A panel that is opened, and kept in a notebook file.

    Attributes:
        call: Python that opens it.
        fill: Python that gives it something to keep.
    """

    call: str
    fill: str = "pass"


OPENINGS = {
    "Generate": Opening(call="GeneratePanel(session)", fill="panel.generate()"),
    "Trajectory": Opening(call="TrajectoryPanel(session, run)"),
    "Rewind & Edit": Opening(call="RewindPanel(session, run)"),
    "Inpaint": Opening(call="InpaintPanel(session)"),
    "Linked Microscope": Opening(call="LinkedMicroscopePanel(session, run)", fill="panel.record()"),
    "Compression Dial": Opening(call="CompressionPanel(session)"),
    "Guidance Lab": Opening(call="GuidancePanel(session)", fill="panel.make()"),
    "Grid": Opening(call="GridPanel(session, folder=None)", fill="panel.make()"),
    "Latent Inspector": Opening(call="LatentInspectorPanel(session, run)"),
    "Walk & Directions": Opening(call="WalkPanel(session)", fill="panel.make()"),
    "Codebook Browser": Opening(call="CodebookPanel(session)"),
    "Sample Map": Opening(call="SampleMapPanel(session, run)"),
    "Run Compare": Opening(call="RunComparePanel(session, [run, other])"),
    "Layout": Opening(call="LayoutPanel(session)"),
    "Training Watch": Opening(call="TrainingPanel(session)"),
}


def measure(
    browser: Any, url: str, folder: Path, *, model: str, rounds: int, openings: Mapping[str, Opening] = OPENINGS
) -> PanelReport:
    """Measure all of it.

    Args:
        browser: Of ``tests.browser.jupyter.chromium``.
        url: Of ``jupyter_lab``.
        folder: That JupyterLab was started with.
        model: What ``lab.load`` takes; a text model.
        rounds: Samples of each figure.
        openings: The panels that are opened, by their titles.
    """
    setup = SETUP.format(model=model)
    load = os.getloadavg()[0]
    opened = functools.partial(_opened, browser, url, folder)
    with opened([setup, INPAINT], name="strokes") as notebook:
        strokes = time_strokes(notebook, rounds=rounds)
    with opened([setup, GENERATE], name="walks") as notebook:
        walks = time_walks(notebook, rounds=rounds)
    with opened([setup + RUNS, "None"], name="openings") as notebook:
        panels = time_openings(notebook, folder / "openings.ipynb", rounds=rounds, openings=openings)
    remarks = (
        f"{model}, {rounds} round{'s' * (rounds != 1)}",
        f"load average {load:.1f} on {os.cpu_count()} cores before the start",
    )
    return PanelReport(figures=(strokes, *walks), panels=panels, remarks=remarks)


def time_strokes(notebook: Notebook, *, rounds: int) -> Figure:
    """From the end of a stroke to the drawing of the cells that the model makes of it."""
    notebook.page.wait_for_selector(".ldm-pad-stage canvas")
    notebook.wait_until("panel.pad.delivered('seen') is not None")
    stage = notebook.page.locator(".ldm-pad-stage")
    times = [
        _time(notebook, functools.partial(_stroke, notebook, stage, (place + 1) / (rounds + 2)), "pointerup", LEGEND)
        for place in range(rounds + 1)
    ]
    title = f"stroke on a mask of {MASK_SIDE} × {MASK_SIDE} to its cells"
    return Figure(title=title, samples=tuple(times[1:]), limit=LIMIT_KERNEL_MSEC, words="kernel, no network")


def time_walks(notebook: Notebook, *, rounds: int) -> list[Figure]:
    """The first preview, the previews of a whole walk, Stop, and whether it gives the memory back."""
    step = 1000 * statistics.median(notebook.evaluate(_steps_timed(rounds)))
    _walk(notebook)  # the first one is slower than all others
    previews, rates = zip(*(_walk(notebook) for _ in range(rounds)), strict=True)
    notebook.evaluate(f"panel.form.controls['num_steps'].set({STOPPED_WALK})")
    _stop(notebook)  # also the first of these brings things along that stay
    before = notebook.evaluate(MEMORY)
    stops = tuple(_stop(notebook) for _ in range(rounds))
    growth = 100.0 * (notebook.evaluate(MEMORY) - before) / before
    return [
        Figure(
            title="Generate to the first preview",
            samples=previews,
            limit=step + LIMIT_PREVIEW_MSEC,
            words=f"a step of {step:.0f} ms + {LIMIT_PREVIEW_MSEC:.0f}",
        ),
        Figure(
            title="Stop to the last prediction as an image",
            samples=stops,
            limit=step + LIMIT_STOP_MSEC,
            words=f"a step + {LIMIT_STOP_MSEC:.0f}",
        ),
        Figure(
            title=f"the kernel's memory, grown after {rounds} stopped walks",
            samples=(growth,),
            unit="%",
            digits=1,
            limit=MAX_GROWTH_PERCENT,
            words=f"of {before / 1e6:.0f} MB",
        ),
        Figure(
            title="previews a second of a walk",
            samples=rates,
            unit="/s",
            digits=1,
            limit=MAX_FRAMES_PER_SECOND,
            words=f"budget of frames; the steps alone would allow {1000 / step:.0f}",
        ),
    ]


def time_openings(notebook: Notebook, file: Path, *, rounds: int, openings: Mapping[str, Opening]) -> dict[str, Kept]:
    """Open each panel in the same cell, let it fill, and look at the notebook's file."""
    notebook.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")  # it is off by default
    bare = _saved_bytes(notebook, file)
    _times_to_open(notebook, *next(iter(openings.items())), rounds=1)  # scripts are fetched once
    found = {}
    for name, opening in openings.items():
        times = tuple(_times_to_open(notebook, name, opening, rounds=rounds))
        notebook.evaluate(f"[exec({opening.fill!r}, globals()), panel.wait()]")
        found[name] = Kept(opening=Figure(title=name, samples=times), num_bytes=_saved_bytes(notebook, file) - bare)
        notebook.evaluate("panel.close()")
    return found


@contextlib.contextmanager
def _opened(browser: Any, url: str, folder: Path, cells: list[str], *, name: str) -> Iterator[Notebook]:
    """A notebook in which these cells were run."""
    notebook = Notebook.open(browser, url, folder, cells, name=name, size=(1280, HEIGHT))
    try:
        notebook.run_all()
        yield notebook
    finally:
        notebook.close()


def _time(notebook: Notebook, act: Callable[[], Any], event: str | None, seen: str) -> float:
    """Milliseconds from an event, or from now, until an expression in the page is another than before."""
    notebook.page.evaluate(WATCH, {"event": event, "seen": seen})
    act()
    notebook.page.wait_for_function("window.ldmWatch.end !== null", timeout=RUN_MSEC)
    return notebook.page.evaluate("window.ldmWatch.end - window.ldmWatch.begin")


def _stroke(notebook: Notebook, stage: Any, height: float) -> None:
    """A horizontal stroke across the stage, at a share of its height."""
    box, mouse = stage.bounding_box(), notebook.page.mouse
    y = box["y"] + height * box["height"]
    mouse.move(box["x"] + 0.3 * box["width"], y)
    mouse.down()
    mouse.move(box["x"] + 0.7 * box["width"], y, steps=10)
    mouse.up()


def _steps_timed(rounds: int) -> str:
    """Python for the seconds of a step."""
    once = "session.call(lambda model: seconds_a_step(model, panel.form.read())).result()"
    return f"[{once} for _ in range({rounds})]"


def _walk(notebook: Notebook) -> tuple[float, float]:
    """Milliseconds to the first preview of a walk, and previews a second until its end; 0 if there are not two."""
    notebook.page.evaluate(COUNT_FRAMES)
    first = _time(notebook, functools.partial(_press, notebook, "Generate"), "click", FRAME)
    notebook.page.wait_for_function(f"{STATUS}.dataset.kind === 'done'", timeout=RUN_MSEC)
    frames = notebook.page.evaluate("window.ldmFrames")
    return first, 1000 * (len(frames) - 1) / (frames[-1] - frames[0]) if len(frames) > 1 else 0.0


def _stop(notebook: Notebook) -> float:
    """Milliseconds from Stop, in the midst of a walk, until the panel says that it has stopped."""
    _time(notebook, functools.partial(_press, notebook, "Generate"), "click", FRAME)
    said = f"{STATUS}.textContent.includes('Stopped after')"
    return _time(notebook, functools.partial(_press, notebook, "Stop"), "click", said)


def _press(notebook: Notebook, button: str) -> None:
    notebook.page.locator(".ldm-panel button.jupyter-button", has_text=button).first.click()


def _times_to_open(notebook: Notebook, name: str, opening: Opening, *, rounds: int) -> list[float]:
    """Open a panel in the second cell, from which the one before is taken away."""
    title = f"document.querySelector('.ldm-panel .ldm-title')?.textContent === {json.dumps(name)}"
    run = functools.partial(notebook.page.evaluate, RUN_CELL, 1)
    times = []
    for _ in range(rounds):
        notebook.page.evaluate(WRITE_CELL, "None")
        run()
        notebook.page.wait_for_function("document.querySelector('.ldm-panel') === null", timeout=RUN_MSEC)
        notebook.page.evaluate(WRITE_CELL, f"panel = {opening.call}\npanel")
        times.append(_time(notebook, run, None, f"{title} && {STATUS} !== null"))
        notebook.evaluate("panel.wait()")
    return times


def _saved_bytes(notebook: Notebook, file: Path) -> int:
    """Size of the notebook's file after it is saved, which takes a moment in which it is empty."""
    before = file.stat().st_mtime_ns
    notebook.command("docmanager:save")
    while file.stat().st_mtime_ns == before or not _is_whole(file):
        notebook.page.wait_for_timeout(50)
    return file.stat().st_size


def _is_whole(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_bytes()))
    except ValueError:
        return False


def main(*, model: str = "shapes-text", rounds: int = 7, output: Path | None = None) -> None:
    """Time the panels in a real JupyterLab and Chromium; leave the machine alone meanwhile.

    Args:
        model: Name of a shipped text model, or a folder.
        rounds: Samples of each figure.
        output: Folder for panels.md and panels.json; None writes nothing.
    """
    if find_chromium() is None:
        sys.exit("no Chromium was found; on Debian apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, jupyter_lab(Path(place)) as url, chromium() as browser:
        report = measure(browser, url, Path(place), model=model, rounds=rounds)
    made = circumstances(shlex.join(["python", "-m", "benchmarks.panels", *sys.argv[1:]]), device="cpu")
    print(render(report, made))
    if output is not None:
        write_report(output, report, made, name="panels")


if __name__ == "__main__":
    tyro.cli(main)
