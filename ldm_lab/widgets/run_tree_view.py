"""The tree of runs as a list to choose from."""

import textwrap

import traitlets
from PIL import Image

from ldm_lab.session import RunTree, are_identical, diff_settings
from ldm_lab.tasks import LatentEdit, Run
from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.controls import label_of
from ldm_lab.widgets.pictures import png_of_image

MAX_WORDS = 60  # letters of a setting
THUMBNAIL = (96, 96)  # twice the pixels on the screen


class RunTreeView(BrowserView):
    """Runs, each under the one that it left."""

    _esm = script("run_tree")
    _css = style("run_tree")

    chosen = traitlets.Int(0, help="Which one is chosen, by its place in ``tree.runs``.").tag(sync=True)

    def show_tree(self, tree: RunTree, *, image: int) -> None:
        """Show all runs with one of their images."""
        nodes = [
            {
                "title": f"Run {number}",
                "changed": what_changed(run),
                "depth": len(tree.path(run)) - 1,
                "mark": _sign(run),
            }
            for number, run in enumerate(tree.runs)
        ]
        self.deliver("runs", [_thumbnail(run, image) for run in tree.runs], nodes=nodes)


def what_changed(run: Run) -> str:
    """In a few words, what a run does differently from the one that it left; of one that left none, what it is."""
    if run.branch is None:
        return run.settings.title
    edits = [name_of(edit) for edit in run.branch.recipe.edits]
    changes = [
        f"{label_of(name).lower()}: {textwrap.shorten(str(new), MAX_WORDS, placeholder=' …')}"
        for name, (_, new) in diff_settings(run.branch.parent, run).items()
        if name not in ("recipe", "seeds")
    ]
    return f"left at step {run.branch.step}: {', '.join([*edits, *changes]) or 'replay, nothing changed'}"


def name_of(edit: LatentEdit) -> str:
    """An edit in a few words."""
    told = {
        name: getattr(edit, name)
        for name in ("amount", "value", "gain", "shift", "rows", "columns", "from_step")
        if getattr(edit, name, None) is not None
    }
    words = " ".join(f"{name} {value:g}" for name, value in told.items())
    channels = f" channels {', '.join(map(str, edit.channels))}" if edit.channels else ""
    where = " in a region" if edit.region is not None else ""
    return f"{edit.kind} {words}{channels}{where}".replace("  ", " ").strip()


def _sign(run: Run) -> str:
    if run.partial:
        return "⏸ stopped"
    if run.branch is not None and not run.branch.recipe and are_identical(run, run.branch.parent):
        return "✓ identical"
    return ""


def _thumbnail(run: Run, image: int) -> bytes:
    small: Image.Image = run.outcome.images[min(image, len(run.outcome.images) - 1)].copy()
    small.thumbnail(THUMBNAIL)
    return png_of_image(small)
