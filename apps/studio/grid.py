"""Tab Grid: two settings against each other; cells appear as they are made, and none is made twice."""

import statistics
import time
from typing import Any

import gradio as gr
from PIL import Image

from apps.studio import markup
from apps.studio.cells import NO_AXIS, TAB, Cells, GridWish, image_of
from apps.studio.create import EXAMPLES
from apps.studio.desks import Desk, Desks
from apps.studio.maker import Updates
from apps.studio.models import Card, Models
from apps.studio.pictures import gallery
from apps.studio.requests import TASK_OF
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import LdmLabError
from ldm_lab.session import CellStore, Session, axis_names
from ldm_lab.session.settings_grid import SettingsGrid
from ldm_lab.tasks import TASKS
from ldm_lab.tasks.kinds import TEXT

HINT = "Choose one or two settings and their values, with commas between; then make the grid."
BLANK_COLOR = (226, 232, 240)


class Grid:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks, cells: Cells, key: gr.components.Component) -> None:
        """``key`` holds a secret of the visitor's browser, under which their cells lie."""
        self.models, self.desks, self.cells, self.key = models, desks, cells, key
        names = models.serving(*TASK_OF)
        if not names:
            gr.Markdown("A grid needs a model of text, classes, or no condition: `ldm-lab studio FOLDER`.")
            return
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self._lay_out_form(names, models.card(names[0]))
            with gr.Column(scale=5, min_width=300):
                self.status = gr.HTML(markup.status(HINT), elem_classes="status", elem_id="grid-status")
                self.gallery = gallery("Cells; each PNG carries its run", show_label=False, elem_id="grid-gallery")
        self._connect()

    def _lay_out_form(self, names: list[str], card: Card) -> None:
        self.model = gr.Dropdown(names, value=card.name, label="Model", visible=len(names) > 1)
        prompt = EXAMPLES[0] if card.kind is TEXT else ""
        self.prompt = gr.Textbox(prompt, label="Prompt, or class", lines=2, elem_id="grid-prompt")
        self._lay_out_axes(_choices(card))
        with gr.Row(elem_classes="tight"):
            self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=100)
            self.steps = gr.Slider(1, 50, value=10, step=1, label="Steps", info="unless they are an axis")
        with gr.Row(elem_classes="tight"):
            self.run = gr.Button("Make the grid", variant="primary", scale=3, elem_id="grid-run")
            self.stop = gr.Button("Stop", variant="stop", scale=1, min_width=80, elem_id="grid-stop")
        gr.Markdown(
            "Stop keeps the cells that are there, and the same grid goes on from there. Of `prompt`, the first value "
            "may be a part of the prompt; the others then take its place: `red, blue, green`."
        )

    def _lay_out_axes(self, choices: list[str]) -> None:
        with gr.Row(elem_classes="tight"):
            first = "guidance_scale" if "guidance_scale" in choices else "seed"
            self.x_name = gr.Dropdown(choices, value=first, label="Across")
            self.x_values = gr.Textbox("1, 3, 6", label="Values")
        with gr.Row(elem_classes="tight"):
            self.y_name = gr.Dropdown([NO_AXIS, *choices], value="num_steps", label="Down")
            self.y_values = gr.Textbox("5, 10", label="Values")

    def _connect(self) -> None:
        wish = [self.prompt, self.seed, self.steps, self.x_name, self.x_values, self.y_name, self.y_values]
        asked, outputs = [self.key, self.model, *wish], [self.status, self.gallery]
        self.run.click(explained(self._make), asked, outputs, show_progress="hidden", **MODEL_EVENT)
        self.stop.click(self._stop, None, None, **QUICK_EVENT)
        self.model.change(explained(self._dress), self.model, [self.x_name, self.y_name], **QUICK_EVENT)

    def _make(self, visitor: gr.Request, key: str | None, model: str, *wish: Any) -> Updates:
        card, desk = self.models.card(model), self.desks.of(visitor.session_hash)
        grid, store = GridWish(*wish).planned(card), self.cells.of(key or visitor.session_hash)
        desk.stopped.discard(TAB)
        blank = Image.new("RGB", (card.config.image_size,) * 2, BLANK_COLOR)
        yield self._shown(grid, blank, f"0 of {len(grid.cells)} cells")
        with self.models.lent(model) as session:
            for number in range(len(grid.cells)):
                _fill(grid, number, store=store, desk=desk, session=session, card=card)
                if TAB in desk.stopped:
                    yield self._shown(grid, blank, f"Stopped after {_count(grid, number)}; the same grid goes on.")
                    return
                if grid.cells[number].duration_sec is not None or number + 1 == len(grid.cells):
                    yield self._shown(grid, blank, _count(grid, number) + _outlook(grid, number))

    def _shown(self, grid: SettingsGrid, blank: Image.Image, sentence: str) -> dict[Any, Any]:
        cells = [(cell.image or blank, _caption(grid, number)) for number, cell in enumerate(grid.cells)]
        return {
            self.status: markup.status(sentence),
            self.gallery: gr.update(value=cells, columns=grid.num_columns, visible=True),
        }

    def _stop(self, visitor: gr.Request) -> None:
        desk = self.desks.of(visitor.session_hash)
        desk.stopped.add(TAB)
        desk.stop(TAB)

    def _dress(self, model: str) -> list[dict[str, Any]]:
        choices = _choices(self.models.card(model))
        return [gr.update(choices=choices), gr.update(choices=[NO_AXIS, *choices])]


def _fill(grid: SettingsGrid, number: int, *, store: CellStore, desk: Desk, session: Session, card: Card) -> None:
    """Make a cell, or find it; what goes wrong is said in its place, and the others go on."""
    begin = time.monotonic()
    try:
        settings = grid.cells[number].settings
        image, was_there = image_of(settings, store=store, desk=desk, session=session, card=card)
    except LdmLabError as error:
        grid.put(number, error=str(error))
    else:
        grid.put(number, image=image, duration_sec=None if was_there else time.monotonic() - begin)


def _count(grid: SettingsGrid, number: int) -> str:
    """How far it is with the cell of a number."""
    num_found = sum(cell.image is not None and cell.duration_sec is None for cell in grid.cells)
    return f"{number + 1} of {len(grid.cells)} cells, {num_found} of them made before"


def _outlook(grid: SettingsGrid, number: int) -> str:
    """How long the rest will take, from the cells that were made."""
    left = len(grid.cells) - number - 1
    times = [cell.duration_sec for cell in grid.cells if cell.duration_sec is not None]
    return f"; about {left * statistics.mean(times):.0f} s to go" if left else "."


def _caption(grid: SettingsGrid, number: int) -> str:
    error = grid.cells[number].error
    return grid.name_of(number) if error is None else f"{grid.name_of(number)}: {error}"


def _choices(card: Card) -> list[str]:
    return axis_names(TASKS[TASK_OF[card.kind]].settings)
