"""Take the screenshots of this folder: every panel in a real JupyterLab, at two widths, light and dark.

    python -m docs.panels.screenshots [NAME …]

A panel to be shown is an entry of ``PANELS``: cells that open it, the last one showing it, and what to wait for.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.browser.jupyter import RUN_MSEC, Notebook, chromium, jupyter_lab

FOLDER = Path(__file__).parent
WIDTHS = (1280, 900)
HEIGHT = 2600  # enough for the tallest panel; the picture is cut to the panel

SETUP = """
import ldm_lab as lab
from ldm_lab.widgets import *
session = lab.Session(lab.load("shapes-text"))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """How a panel is shown.

    Attributes:
        cells: Python after ``SETUP``; the value of the last one is the panel.
        begin: Python that is carried out when the panel is on the screen, such as what makes it work.
        ready: A Python expression that is true when there is something to see.
        visible: A CSS selector of something that is there when the browser has drawn what was delivered.
        prepare: JavaScript that is carried out in the page before the picture is taken, such as a click.
    """

    cells: tuple[str, ...]
    begin: str = "pass"
    ready: str = "True"
    visible: str = ".ldm-panel"
    prepare: str = ""


# What a pointer does that lassoes a part of the map.
SELECT_IN_SCATTER = """
    const map = document.querySelector(".ldm-scatter-map");
    map.setPointerCapture = () => {};
    const box = map.getBoundingClientRect();
    const send = (kind, [x, y]) => map.dispatchEvent(new PointerEvent(kind, {
        clientX: box.left + x * box.width, clientY: box.top + y * box.height, pointerId: 1 }));
    const lasso = [[0.03, 0.2], [0.2, 0.2], [0.2, 0.46], [0.03, 0.55]];
    [...document.querySelectorAll(".ldm-scatter-bar button")][0].click();
    send("pointerdown", lasso[0]);
    lasso.forEach((place) => send("pointermove", place));
    send("pointerup", lasso[0]);
    [...document.querySelectorAll(".ldm-scatter-bar button")][0].click();
"""

PANELS: dict[str, Shot] = {
    "rewind": Shot(
        cells=(
            "source = GeneratePanel(session)\nsource.seeds.set((2,))\njob = source.generate()",
            """
job.wait()
from PIL import Image
from ldm_lab.tasks import MaskPicture, Recipe
panel = RewindPanel(session, source.run)
panel.wait()
panel.go_to(6)
mask = Image.new("L", panel.pad.mask.size)
mask.paste(255, (8, 2, 16, 12))
panel.pad.show_mask(MaskPicture.from_image(mask))
panel.add_edit()
panel.walk_on()
panel.wait()
panel.choose(source.run)
panel.changes.controls["prompt"].set("a large green square left of a small blue star on white")
panel.walk_on()
panel.wait()
panel.go_to(4)
panel.pad.show_mask(MaskPicture.from_image(Image.new("L", panel.pad.mask.size)))
panel.tools._tool.value = "Gain and shift"
panel.tools._form.controls["gain"].set(2.0)
panel.add_edit()
panel
""",
        ),
        ready="panel.wait() and len(panel.tree.runs) == 3",
        visible=".ldm-tree-item",
    ),
    "trajectory": Shot(
        cells=(
            "source = GeneratePanel(session)\njob = source.generate()",
            "job.wait()\npanel = TrajectoryPanel(session, source.run)\npanel.decode()\npanel",
        ),
        ready="panel.wait() and len(panel.view.delivered('sheets')[1]) == 5",
        visible=".ldm-trajectory canvas",
        prepare="""() => {
            const slider = document.querySelector('.ldm-trajectory input');
            const [pinA, pinB] = document.querySelectorAll('.ldm-pin button');
            const at = (place) => { slider.value = place; slider.dispatchEvent(new Event('input')); };
            at(4), pinA.click(), at(19), pinB.click(), at(9);
        }""",
    ),
    "generate": Shot(
        cells=("panel = GeneratePanel(session)\npanel.seeds.set((0, 1, 2, 3))\npanel.generate()\npanel",),
        ready="panel.run is not None",
        visible=".ldm-frame-view img",
    ),
    "inpaint": Shot(
        cells=(
            """
from PIL import Image, ImageDraw
panel = InpaintPanel(session)
panel.form.controls["prompt"].set("a large blue star on gray")
mask = Image.new("L", (64, 64))
ImageDraw.Draw(mask).ellipse((22, 6, 56, 40), fill=255)
panel.paint(mask)
panel.repaint()
panel
""",
        ),
        ready="panel.wait(120) and panel.run is not None",
    ),
    "layout": Shot(
        cells=(
            """
name = "shapes-layout" if "shapes-layout" in lab.checkpoints.shipped_models() else "shapes-text"
panel = LayoutPanel(lab.Session(lab.load(name)))
if name == "shapes-layout":
    panel.make()
panel
""",
        ),
        ready="panel.wait(120)",
    ),
    "codebook": Shot(
        cells=("panel = CodebookPanel(session)\npanel",),
        ready="panel.wait(120) and panel.opened is not None",
        visible=".ldm-code-picture",
        prepare="""() => {
            const click = (node, x, y) => {
                const box = node.getBoundingClientRect();
                const place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true };
                node.dispatchEvent(new MouseEvent("click", place));
            };
            click(document.querySelector(".ldm-code-stage"), 0.2, 0.65);
            click(document.querySelector(".ldm-code-grid"), 0.45, 0.3);
        }""",
    ),
    "compression": Shot(
        cells=("panel = CompressionPanel(session)\npanel.choice.source.value = 'astronaut'\npanel",),
        ready="panel.wait(60) and panel.result is not None and panel.result.original.width == 256",
    ),
    "grid": Shot(
        cells=(
            "axes = [('guidance_scale', '1, 3, 6, 12'), ('num_steps', '3, 10')]\n"
            "panel = GridPanel(session, axes=axes, folder=None)\npanel",
        ),
        begin="panel.estimate(); panel.make()",
        ready="panel.wait(240) and panel.grid.num_done == 8 and setattr(panel.view, 'chosen', 6) is None",
    ),
    "walk": Shot(
        cells=("panel = WalkPanel(session)\npanel",),
        begin="panel.film(); panel.wait(240); panel.make(); panel.measure(); panel.directions.find()",
        ready="panel.wait(240) and panel.directions.found is not None",
    ),
    "training": Shot(
        cells=(
            "from dataclasses import replace\n"
            "from ldm_lab.training.presets import shapes_kl_f4\nrecipe = shapes_kl_f4()\n"
            "training = replace(recipe.training, num_steps=60, sheet_every=30, save_every=60, batch_size=8)\n"
            "panel = TrainingPanel(session, recipe=replace(recipe, training=training), folder='run')\npanel",
        ),
        begin="panel.start()",
        ready="panel.wait(240) and panel.history.steps[-1] == 60",
    ),
    "guidance": Shot(
        cells=("panel = GuidancePanel(session)\npanel.pad.points = [[0.0, 1.0], [0.3, 6.0], [1.0, 3.0]]\npanel",),
        begin="panel.make()",
        ready="panel.wait(120) and len(panel.parts) == 20",
    ),
    "microscope": Shot(
        cells=(
            "run = session.model.text_to_image('a large red circle left of a small blue star on white', seeds=[3])",
            "panel = LinkedMicroscopePanel(session, run)\npanel",
            "panel.wait(); panel.record(); panel.wait(); panel.measure(8, 5)\npanel.wait()",
        ),
        ready="panel.wait(60)",
        visible=".ldm-micro-word",
        prepare=(
            "[...document.querySelectorAll('.ldm-micro-word button')]"
            ".find((one) => one.textContent === 'circle').click()"
        ),
    ),
    "inspector": Shot(
        cells=(
            "run = session.model.text_to_image('a large red circle on white', seeds=[3, 4])",
            "panel = LatentInspectorPanel(session, run)\npanel",
            "panel.form.controls['gains'].set((1.0, 1.0, 0.0, 1.0))",
        ),
        ready="panel.wait(60)",
        visible=".ldm-latent-tile",
    ),
    "inspector-broken": Shot(
        cells=(
            "z = session.model.text_to_image('a large red circle on white', seeds=[3]).trajectory[-1].z_0_pred[0]",
            "z[1, 3:5, 4:9] = float('nan')\npanel = LatentInspectorPanel(session, z)\npanel",
        ),
        ready="panel.wait(60)",
        visible=".ldm-latent-tile",
    ),
    "compare": Shot(
        cells=(
            "prompt = 'a large red circle left of a small blue star on white'\n"
            "first = session.model.text_to_image(prompt, seeds=[3])",
            "import dataclasses\n"
            "from ldm_lab.tasks import Branch\n"
            "changed = dataclasses.replace(first.settings, prompt=prompt.replace('red', 'green'), guidance_scale=6.0)\n"
            "second = session.model.carry_out(changed, branch=Branch(parent=first, step=4))",
            "panel = RunComparePanel(session, [first, second])\npanel",
        ),
        ready="panel.wait(60)",
        visible=".ldm-blink-stage",
    ),
    "sample-map": Shot(
        cells=(
            "from ldm_lab.data.shape_scenes import ShapeScenes\n"
            "from ldm_lab.core.images import to_pil\n"
            "pictures = to_pil(ShapeScenes().images(range(300)))",
            "panel = SampleMapPanel(session, pictures)\npanel",
            "panel.wait(); panel.ask(0.88, 0.3)",
        ),
        ready="panel.wait(60)",
        visible=".ldm-scatter-blend",
        prepare=SELECT_IN_SCATTER,
    ),
}


def take(name: str, shot: Shot) -> list[str]:
    """Write the screenshots of one panel; what the console says of errors."""
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as url, chromium() as browser:
        notebook = Notebook.open(browser, url, Path(folder), [SETUP, *shot.cells], size=(WIDTHS[0], HEIGHT))
        notebook.command("application:toggle-left-area")
        notebook.run_all()
        notebook.page.wait_for_selector(".ldm-panel .ldm-status", timeout=RUN_MSEC)
        notebook.evaluate(f"exec({shot.begin!r}, globals())")
        notebook.wait_until(shot.ready)
        notebook.page.wait_for_selector(shot.visible, timeout=RUN_MSEC)
        if shot.prepare:
            notebook.page.evaluate(shot.prepare)
        for dark in (False, True):
            notebook.set_theme(dark=dark)
            for width in WIDTHS:
                notebook.page.set_viewport_size({"width": width, "height": HEIGHT})
                notebook.page.wait_for_timeout(1500)  # until everything is laid out and drawn anew
                path = FOLDER / f"{name}-{width}-{'dark' if dark else 'light'}.png"
                notebook.page.locator(".ldm-panel").last.screenshot(path=path)
        return [f"{name}: {error}" for error in notebook.errors]


def main() -> None:
    """Take the screenshots of the panels that are named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PANELS)}")
    names = parser.parse_args().names or PANELS
    sys.exit("\n".join(error for name in names for error in take(name, PANELS[name])) or 0)


if __name__ == "__main__":
    main()
