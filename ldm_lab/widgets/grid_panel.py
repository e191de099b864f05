"""Settings against each other: a cell for every pair, or triple, of values."""

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.session import (
    CellStore,
    Event,
    Failed,
    Finished,
    Frame,
    Session,
    Stopped,
    given_values,
    spell_call,
)
from ldm_lab.session.grid import MODEL
from ldm_lab.session.settings_grid import Cell, SettingsGrid, seconds_a_step
from ldm_lab.session.shelf import ModelShelf
from ldm_lab.tasks import Pipeline, Run, RunImage, TaskSettings, TextToImageSettings
from ldm_lab.widgets.axis_controls import AxisControls
from ldm_lab.widgets.cell_grid import CellGrid
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.generate_panel import GeneratePanel
from ldm_lab.widgets.guidance_panel import GuidancePanel
from ldm_lab.widgets.later import Later
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.pictures import FrameView

EXAMPLE = "a large red circle left of a small blue star on white"
FIELDS = ("prompt", "negative_prompt", "seeds", "num_steps", "sampler", "guidance_scale")
START = (("guidance_scale", "1, 3, 6"), ("num_steps", "5, 10"))
FOLDER = Path("runs") / "cells"
PANELS = {"Generate": GeneratePanel, "Guidance Lab": GuidancePanel}


class GridPanel(Panel):
    """Cells appear as they are made; each is kept, so that the same grid goes on where it was left.

    An axis may be that of models; those beside the session's are loaded when their cells are asked for, and stay until
    the panel is closed.

    Attributes:
        form: The settings that all cells share; their first seed is every cell's.
        axes: What varies.
        grid: The cells of the grid that was asked for last; None before.
        view: The cells on the screen.
    """

    title: ClassVar[str] = "Grid"

    def __init__(
        self,
        session: Session,
        *,
        settings: TaskSettings | None = None,
        axes: Sequence[tuple[str, str]] = START,
        folder: str | Path | None = FOLDER,
        name: str | None = None,
    ) -> None:
        """Open the panel.

        Args:
            session: What computes.
            settings: To begin with, of any task that the model serves; None: an example of text to image.
            axes: To begin with: settings and their values, as they are typed.
            folder: Where cells are kept; None: nowhere.
            name: See ``Panel``.
        """
        asked = settings or TextToImageSettings(prompt=EXAMPLE)
        start = session.call(lambda model: model.resolved(asked)).result()
        super().__init__(session, name=name)
        self.form = SettingsForm(start, fields=[name for name in FIELDS if hasattr(start, name)])
        self.axes = AxisControls(type(start), tuple(axes))
        self.view = CellGrid(label="Cells", placeholder="Press Make the grid: the cells come here, one by one.")
        self.shown = FrameView(width=256, placeholder="Choose a cell.")
        self.grid: SettingsGrid | None = None
        self._store = None if folder is None else CellStore(folder)
        self._shelf = ModelShelf(session)
        self._later = Later(self.guarded(self.estimate))
        self._opened: Panel | None = None
        self._build_controls()
        self._arrange()

    def make(self) -> None:
        """Ask for all cells; those that were made before are taken from where they are kept."""
        self._later.cancel()
        self.stop()
        grid = self.grid = SettingsGrid(self.form.read(), self.axes.read())
        self.view.chosen = -1
        self.view.lay_out(grid)
        for number in range(len(grid.cells)):
            self.view.say(number, "waiting")
        self._stop.disabled = False
        for number in grid.order:
            self._ask(grid, number)

    def make_again(self, number: int) -> None:
        """Make one cell anew, also if it is kept.

        Raises:
            RequestError: If there is no such cell.
        """
        self._ask(self._grid_with(number), number, anew=True)

    def stop(self) -> None:
        """End the cell that is being made and leave those that wait; the others stay."""
        for job in self.pending:
            job.cancel()

    def estimate(self) -> None:
        """Time a step, and say how long the grid will take; other models are taken to be as fast as the session's."""
        grid = SettingsGrid(self.form.read(), self.axes.read())

        def measure(model: Pipeline) -> float:
            a_step = seconds_a_step(model, grid.cells[0].settings)
            return a_step * sum(model.resolved(cell.settings).length for cell in grid.cells)

        self.call(measure, lambda sec: self._say_estimate(len(grid.cells), sec))

    def export(self, folder: str | Path) -> Path:
        """Write the grid as CSV, HTML and PNG, compared with the chosen cell or the first.

        Raises:
            RequestError: If there is no grid, or the cell has no image.
        """
        grid = self._grid_with(0)
        return grid.export(folder, reference=max(0, self.view.chosen))

    def open(self, panel: str) -> Panel:
        """Open another panel with the settings of the chosen cell, below the grid.

        Raises:
            RequestError: If no cell is chosen.
        """
        cell = self._grid_with(self.view.chosen).cells[self.view.chosen]
        session = self._shelf.session_of(cell.model)
        if self._opened is not None:
            self._below.children = ()
            self._opened.close()
        self._opened = PANELS[panel](session, settings=cell.settings, name=f"opened in {id(self)}")
        self._below.children = (self._opened.show(),)
        return self._opened

    def picture(self) -> Image.Image | None:
        """The first page."""
        return self.grid.sheet() if self.grid and self.grid.num_done else None

    def code(self) -> str:
        """All cells in Python."""
        settings, axes = self.form.read(), self.axes.read()
        kind = type(settings).__name__
        models = next((axis.values for axis in axes if axis.name == MODEL), ())
        lines = [
            "import ldm_lab as lab",
            "from ldm_lab.session import Axis",
            "from ldm_lab.session.settings_grid import SettingsGrid",
            f"from ldm_lab.tasks import {kind}",
            "",
            f"model = lab.load({self.session.name!r})",
            *([f"models = {{name: lab.load(name) for name in {models!r}}}"] if models else []),
            f"settings = model.resolved({spell_call(f'{kind}.of', given_values(settings))})",
            f"axes = [{', '.join(f'Axis(name={axis.name!r}, values={axis.values!r})' for axis in axes)}]",
            "grid = SettingsGrid(settings, axes)",
            "for number, cell in enumerate(grid.cells):",
            f"    made = {'models[cell.model]' if models else 'model'}.carry_out(cell.settings)",
            "    grid.put(number, image=made.images[0])",
            "grid.sheet()",
        ]
        return "\n".join(lines)

    def close(self) -> None:
        """Also the panel that was opened below, and the models that were loaded."""
        self._later.cancel()
        if self._opened is not None:
            self._below.children = ()
            self._opened.close()
        super().close()
        self._shelf.close()

    def _ask(self, grid: SettingsGrid, number: int, *, anew: bool = False) -> None:
        """Submit a cell: in the thread that computes its model is opened, and the cell looked for where it is kept."""
        look = partial(self._look_for, cell=grid.cells[number], anew=anew)
        self._keep(self.session.call(look, listener=self._listener(grid, number)))

    def _look_for(self, _: Pipeline, *, cell: Cell, anew: bool) -> tuple[Session, RunImage | None]:
        """What makes a cell, and its image if that is kept."""
        session = self._shelf.session_of(cell.model)
        if anew or self._store is None:
            return session, None
        return session, self._store.find(session.model.resolved(cell.settings), session.model.origin)

    def _listener(self, grid: SettingsGrid, number: int) -> Callable[..., Any]:
        return self.guarded(partial(self._hear, grid, number))

    def _hear(self, grid: SettingsGrid, number: int, event: Event) -> None:
        """Take an event of a cell, unless its grid was left; a cell that fails leaves the others alone."""
        if grid is not self.grid:
            return
        match event:
            case Frame(jpeg):
                self.view.paint(number, jpeg)
                return
            case Finished((session, None)):
                settings = grid.cells[number].settings
                self._keep(session.submit(settings, listener=self._listener(grid, number)))
                return
            case Finished((_, image)):
                grid.put(number, image=image)
                self.view.settle(number, image, "found")
            case Finished(Run() as run):
                grid.put(number, image=run.images[0], duration_sec=run.outcome.duration_sec)
                self.view.settle(number, run.images[0], "done")
                if self._store is not None:
                    self._store.keep(run.images[0], run.settings, run.provenance.model)
            case Failed(error):
                grid.put(number, error=str(error))
                self.view.say(number, "error", str(error))
            case Stopped():
                self.view.say(number, "stopped", "not made")
            case _:
                return
        self._say_progress(grid)

    def _say_progress(self, grid: SettingsGrid) -> None:
        """How many are done; when nothing waits any more, the grid is the result."""
        left = len(self.pending) - 1  # the one that speaks is still among them
        failed = sum(cell.error is not None for cell in grid.cells)
        said = f"{grid.num_done} of {len(grid.cells)} cells" + (f", {failed} with an error" if failed else "")
        if left > 0:
            times = [cell.duration_sec for cell in grid.cells if cell.duration_sec is not None]
            rest = f", about {left * sum(times) / len(times):.0f} s to go" if times else ""
            self.status.say(f"{said}{rest}", kind="busy", done=grid.num_done, expected=len(grid.cells))
            return
        self._stop.disabled = True
        is_whole = grid.num_done == len(grid.cells)
        self.status.say(f"{said}.", kind="done" if is_whole else "warning")
        self._show_chosen()
        self.announce(grid)

    def _grid_with(self, number: int) -> SettingsGrid:
        if self.grid is None or not 0 <= number < len(self.grid.cells):
            raise RequestError("there is no such cell yet; make the grid, and choose a cell")
        return self.grid

    def _show_chosen(self) -> None:
        """The chosen cell, larger, with what made it."""
        number = self.view.chosen
        is_there = self.grid is not None and 0 <= number < len(self.grid.cells)
        for button in (self._again, self._open):
            button.disabled = not is_there
        if self.grid is None or not is_there:
            self.facts.value = ""
            return
        cell = self.grid.cells[number]
        if cell.image is not None:
            self.shown.settle(cell.image, alt=self.grid.name_of(number))
        self.facts.value = _facts_html(cell)

    def _say_estimate(self, count: int, sec: float) -> None:
        self.expected.value = f'<span class="ldm-note">{count} cells, about {max(1.0, sec):.0f} s</span>'

    def _build_controls(self) -> None:
        narrow = {"width": "auto"}
        self._make = ipywidgets.Button(description="Make the grid", icon="play", button_style="primary", layout=narrow)
        self._stop = ipywidgets.Button(
            description="Stop", icon="stop", disabled=True, tooltip="Keeps the cells that are there.", layout=narrow
        )
        self._again = ipywidgets.Button(description="Make this cell again", disabled=True, layout=narrow)
        self._open = ipywidgets.Button(description="Open this cell in", disabled=True, layout=narrow)
        self._where = ipywidgets.Dropdown(options=list(PANELS), tooltip="In which panel", layout={"width": "10em"})
        self._export = ipywidgets.Button(
            description="Export", tooltip="CSV, HTML and PNG; compared with the chosen cell.", layout=narrow
        )
        self._folder = ipywidgets.Text(value="grid", description="to folder", layout={"width": "16em"})
        self.expected = ipywidgets.HTML()
        self.facts = ipywidgets.HTML()
        self._below = ipywidgets.VBox([])
        self._make.on_click(self.guarded(lambda _: self.make()))
        self._stop.on_click(self.guarded(lambda _: self.stop()))
        self._again.on_click(self.guarded(lambda _: self.make_again(self.view.chosen)))
        self._open.on_click(self.guarded(lambda _: self.open(self._where.value)))
        self._export.on_click(self.guarded(lambda _: self._say_export()))
        self.view.observe(self.guarded(lambda _: self._show_chosen()), "chosen")
        self.form.observe(self._later.ask)
        self.axes.observe(self._later.ask)

    def _say_export(self) -> None:
        folder = self.export(self._folder.value)
        self.status.say(f"Written: {folder.resolve()}", kind="done")

    def _arrange(self) -> None:
        row = {"flex_flow": "row wrap", "grid_gap": "4px 8px", "align_items": "center"}
        top = {"flex_flow": "row wrap", "grid_gap": "10px 20px", "align_items": "flex-start"}
        chosen = ipywidgets.VBox(
            [
                self.shown,
                ipywidgets.HBox([self._again, self._open, self._where], layout=row),
                self.facts,
            ],
            layout={"flex": "1 1 18em", "min_width": "14em"},
        )
        self.view.layout.flex = "0 1 auto"
        self.lay_out(
            self.form.widget,
            self.axes.widget,
            ipywidgets.HBox([self._make, self._stop, self.expected], layout=row),
            ipywidgets.HBox([self.view, chosen], layout=top),
            ipywidgets.HBox([self._export, self._folder], layout=row),
            self._below,
        )


def _facts_html(cell: Cell) -> str:
    facts = {"model": cell.model} | given_values(cell.settings) | {"error": cell.error}
    rows = (f"{name.replace('_', ' ')}: {escape(str(value))}" for name, value in facts.items() if value is not None)
    return f'<div class="ldm-note">{"<br>".join(rows)}</div>'
