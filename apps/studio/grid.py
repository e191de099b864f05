"""Tab Grid: two settings against each other; cells appear as they are made, and none is made twice."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from apps.studio import markup
from apps.studio.create import EXAMPLES, TASK_OF
from apps.studio.desks import Desk, Desks
from apps.studio.forms import LABELS
from apps.studio.models import Card, Models
from apps.studio.requests import check_limits, request, seeds_from
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.session import Axis, CellStore, Session, axis_names, cells_of
from ldm_lab.tasks import TASKS, TaskSettings
from ldm_lab.tasks.kinds import CLASS, TEXT

TAB = "grid"
NONE = "(none)"
MAX_CELLS = 36
KEPT_SEC = 3600.0
HINT = "Choose one or two settings and their values, with commas between; then make the grid."


class Cells:
    """Makes cells, and finds those that were made before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = CellStore(folder)

    def image_of(self, settings: TaskSettings, *, desk: Desk, session: Session, card: Card) -> tuple[Any, bool]:
        """The image of a cell, and whether it was there.

        Raises:
            LdmLabError: What ends its job.
        """
        resolved, origin = card.resolved(settings), session.model.origin
        image = self._store.find(resolved, origin)
        if image is not None:
            return image, True
        job = desk.jobs[TAB] = session.submit(settings, preview="none")
        try:
            run = job.result()
        finally:
            job.cancel()
            desk.jobs.pop(TAB, None)
        if not run.partial:
            self._store.keep(run.images[0], resolved, origin)
        return run.images[0], False

    def sweep(self) -> None:
        """Delete cells that were made more than an hour ago."""
        limit = time.time() - KEPT_SEC
        for path in self.folder.glob("*.png") if self.folder.is_dir() else ():
            if path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)


class Grid:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks, cells: Cells) -> None:
        self.models, self.desks, self.cells = models, desks, cells
        names = models.serving(*TASK_OF)
        if not names:
            gr.Markdown("A grid needs a model of text, classes, or no condition: `ldm-lab studio FOLDER`.")
            return
        card = models.card(names[0])
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self._lay_out_form(names, card)
            with gr.Column(scale=5, min_width=300):
                self.status = gr.HTML(markup.status(HINT), elem_classes="status", elem_id="grid-status")
                self.gallery = gr.Gallery(
                    label="Cells; each PNG carries its run",
                    show_label=False,
                    format="png",
                    visible=False,
                    interactive=False,
                    object_fit="contain",
                    elem_classes="pixels",
                    elem_id="grid-gallery",
                )
        self._connect()

    def _lay_out_form(self, names: list[str], card: Card) -> None:
        self.model = gr.Dropdown(names, value=card.name, label="Model", visible=len(names) > 1)
        self.wish = gr.Textbox(
            EXAMPLES[0] if card.kind is TEXT else "", label="Prompt, or class", lines=2, elem_id="grid-prompt"
        )
        choices = axis_names(TASKS[TASK_OF[card.kind]].settings)
        with gr.Row(elem_classes="tight"):
            self.x_name = gr.Dropdown(
                choices, value="guidance_scale" if "guidance_scale" in choices else "seed", label="Across"
            )
            self.x_values = gr.Textbox("1, 3, 6", label="Values")
        with gr.Row(elem_classes="tight"):
            self.y_name = gr.Dropdown([NONE, *choices], value="num_steps", label="Down")
            self.y_values = gr.Textbox("5, 10", label="Values")
        with gr.Row(elem_classes="tight"):
            self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=100)
            self.steps = gr.Slider(1, 50, value=10, step=1, label="Steps", info="unless they are an axis")
        with gr.Row(elem_classes="tight"):
            self.run = gr.Button("Make the grid", variant="primary", scale=3, elem_id="grid-run")
            self.stop = gr.Button("Stop", variant="stop", scale=1, min_width=80)
        gr.Markdown(
            "Stop keeps the cells that are there, and the same grid goes on from there. Of `prompt`, the first value "
            "may be a part of the prompt; the others then take its place: `red, blue, green`."
        )

    def _connect(self) -> None:
        asked = [self.model, self.wish, self.seed, self.steps, self.x_name, self.x_values, self.y_name, self.y_values]
        outputs = [self.status, self.gallery]
        self.run.click(explained(self._make), asked, outputs, show_progress="hidden", **MODEL_EVENT)
        self.stop.click(self._stop, None, None, **QUICK_EVENT)
        self.model.change(explained(self._dress), self.model, [self.x_name, self.y_name], **QUICK_EVENT)

    def _dress(self, model: str) -> list[dict[str, Any]]:
        choices = axis_names(TASKS[TASK_OF[self.models.card(model).kind]].settings)
        return [gr.update(choices=choices), gr.update(choices=[NONE, *choices])]

    def _stop(self, visitor: gr.Request) -> None:
        desk = self.desks.of(visitor.session_hash)
        desk.stopped.add(TAB)
        desk.stop(TAB)

    def _make(
        self,
        visitor: gr.Request,
        model: str,
        wish: str,
        seed: float,
        steps: float,
        x_name: str,
        x_values: str,
        y_name: str,
        y_values: str,
    ) -> Iterator[dict[Any, Any]]:
        card, desk = self.models.card(model), self.desks.of(visitor.session_hash)
        rows = planned(card, wish, seed, steps, (x_name, x_values), (y_name, y_values))
        desk.stopped.discard(TAB)
        self.cells.sweep()
        names = [_caption(cell, [x_name, y_name]) for row in rows for cell in row]
        images: list[Any] = [_blank(card)] * len(names)
        yield self._shown(images, names, len(rows[0]), f"0 of {len(names)} cells")
        begin, num_found = time.monotonic(), 0
        with self.models.lent(model) as session:
            for place, settings in enumerate(cell for row in rows for cell in row):
                try:
                    images[place], found = self.cells.image_of(settings, desk=desk, session=session, card=card)
                except LdmLabError as error:  # the others go on
                    names[place], found = f"{names[place]}: {error}", False
                num_found += found
                done = place + 1
                if TAB in desk.stopped:
                    sentence = f"Stopped after {done} of {len(names)} cells; the same grid goes on from there."
                    yield self._shown(images, names, len(rows[0]), sentence)
                    return
                if not found or done == len(names):
                    left = (time.monotonic() - begin) / max(1, done - num_found) * (len(names) - done)
                    sentence = f"{done} of {len(names)} cells, {num_found} of them made before"
                    sentence += f"; about {left:.0f} s to go" if done < len(names) else "."
                    yield self._shown(images, names, len(rows[0]), sentence)

    def _shown(self, images: list[Any], names: list[str], columns: int, sentence: str) -> dict[Any, Any]:
        cells = list(zip(images, names, strict=True))
        return {
            self.status: markup.status(sentence),
            self.gallery: gr.update(value=cells, columns=columns, visible=True),
        }


def planned(
    card: Card, wish: str, seed: float, steps: float, x: tuple[str, str], y: tuple[str, str]
) -> list[list[TaskSettings]]:
    """The settings of all cells, row by row, each within what this page allows.

    Raises:
        RequestError: If an axis or a cell is not accepted, or there are too many.
    """
    task = TASK_OF[card.kind]
    asked: dict[str, Any] = {"seeds": seeds_from(seed, 1), "num_steps": steps}
    if card.kind is TEXT:
        asked["prompt"] = wish
    elif card.kind is CLASS:
        asked["label"] = int(wish) if wish.strip().isdigit() else wish.strip() or None
    settings = request(task, asked, card=card)
    kind = TASKS[task].settings
    across = Axis.read(kind, *x)
    down = None if y[0] in (NONE, "", None) else Axis.read(kind, *y)
    rows = cells_of(settings, across, down)
    if len(rows) * len(rows[0]) > MAX_CELLS:
        raise RequestError(f"the grid has {len(rows) * len(rows[0])} cells; this page makes at most {MAX_CELLS}")
    for row in rows:
        for cell in row:
            check_limits(card.resolved(cell))
    return rows


def _caption(settings: TaskSettings, names: list[str]) -> str:
    values = [settings.seeds[0] if name == "seed" else getattr(settings, name) for name in names if name != NONE]
    words = [f"{value:g}" if isinstance(value, float) else str(value)[:60] for value in values]
    chosen = [LABELS.get(name, name.replace("_", " ")).lower() for name in names if name != NONE]
    return ", ".join(f"{name} {word}" for name, word in zip(chosen, words, strict=True))


def _blank(card: Card) -> Image.Image:
    side = card.config.image_size
    return Image.new("RGB", (side, side), (226, 232, 240))
