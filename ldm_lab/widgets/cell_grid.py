"""A grid of pictures that come one by one, of which one is chosen."""

from typing import Literal

import traitlets
from PIL import Image

from ldm_lab.session.settings_grid import SettingsGrid
from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.pictures import png_of_image

State = Literal["waiting", "busy", "done", "found", "error", "stopped"]


class CellGrid(BrowserView):
    """Cells with the values of their axes beside them; each is a picture of its own, none is composed."""

    _esm = script("cell_grid")
    _css = style("cell_grid")

    chosen = traitlets.Int(-1, help="Number of the cell that was clicked; -1: none.").tag(sync=True)
    width = traitlets.Int(120, help="Pixels of a cell on the screen.").tag(sync=True)

    def lay_out(self, grid: SettingsGrid) -> None:
        """Begin anew with empty cells."""
        for key in list(self._deliveries):
            self.withdraw(key)
        columns, rows, pages = (grid.labels(axis) for axis in range(3))
        names = [grid.name_of(number) for number in range(len(grid.cells))]
        self.deliver("grid", columns=columns, rows=rows, pages=pages, names=names)

    def say(self, number: int, state: State, words: str = "") -> None:
        """Say how a cell is, without a picture."""
        self.deliver("cell", key=f"cell-{number}", number=number, state=state, words=words, mime="")

    def paint(self, number: int, jpeg: bytes) -> None:
        """Show a frame of a cell that is being made."""
        self.deliver("cell", [jpeg], key=f"cell-{number}", number=number, state="busy", words="", mime="image/jpeg")

    def settle(self, number: int, image: Image.Image, state: State) -> None:
        """Show the picture of a cell, without loss."""
        data = [png_of_image(image)]
        self.deliver("cell", data, key=f"cell-{number}", number=number, state=state, words="", mime="image/png")
