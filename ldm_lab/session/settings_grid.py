"""A grid of settings along up to three axes with what came of every cell, and what is written of it."""

import csv
import html
import io
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ldm_lab.core import images
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.core.io import write_atomic
from ldm_lab.evaluation.one_picture import Likeness, likeness
from ldm_lab.session.grid import MAX_CELLS, MODEL, Axis, cells_of
from ldm_lab.tasks import Pipeline, TaskSettings

BLANK = (226, 232, 240)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cell:
    """One cell.

    Attributes:
        settings: What makes it.
        values: Of the axes there, x first.
        model: What makes it, as ``lab.load`` takes it; None: no axis says.
        image: What came; None: nothing yet, or an error.
        error: Why nothing came, in one sentence.
        duration_sec: Time that it took; None: it was made before.
    """

    settings: TaskSettings
    values: tuple[Any, ...]
    model: str | None = None
    image: Image.Image | None = None
    error: str | None = None
    duration_sec: float | None = None


class SettingsGrid:
    """Cells page by page (the third axis), row by row (the second), along each row the first.

    Attributes:
        axes: One to three.
        cells: All of them.

    Raises:
        RequestError: If there are too many cells, two axes are the same, or a value is not accepted.
    """

    def __init__(self, settings: TaskSettings, axes: Sequence[Axis]) -> None:
        names = [axis.name for axis in axes]
        if not 1 <= len(axes) <= 3 or len(set(names)) < len(names):
            raise RequestError(f"the axes are {', '.join(names) or 'none'}; give one to three different ones")
        self.axes = tuple(axes)
        self.cells = [_cell(self.axes, number, one) for number, one in enumerate(_all_settings(settings, axes))]
        if len(self.cells) > MAX_CELLS:
            raise RequestError(f"the grid has {len(self.cells)} cells; at most {MAX_CELLS} are made, take fewer values")

    @property
    def num_columns(self) -> int:
        """Cells in a row."""
        return len(self.axes[0].values)

    @property
    def cells_a_page(self) -> int:
        """Cells on a page."""
        return self.num_columns * (len(self.axes[1].values) if len(self.axes) > 1 else 1)

    @property
    def num_done(self) -> int:
        """Cells with an image."""
        return sum(cell.image is not None for cell in self.cells)

    @property
    def order(self) -> list[int]:
        """Numbers of the cells in the order in which they are best made: model by model, because to change it costs."""
        models = [cell.model for cell in self.cells]
        return sorted(range(len(models)), key=lambda number: models.index(models[number]))

    def put(self, number: int, **what: Any) -> Cell:
        """Note what came of a cell: an image, an error, the time that it took."""
        self.cells[number] = replace(self.cells[number], image=None, error=None, duration_sec=None)
        self.cells[number] = replace(self.cells[number], **what)
        return self.cells[number]

    def labels(self, axis: int) -> list[str]:
        """What is written beside the values of an axis; none if there is no such axis."""
        if axis >= len(self.axes):
            return []
        return [f"{_words(self.axes[axis].name)} {_spell(value)}" for value in self.axes[axis].values]

    def name_of(self, number: int) -> str:
        """The values of a cell, in words."""
        pairs = zip(self.axes, self.cells[number].values, strict=True)
        return ", ".join(f"{_words(axis.name)} {_spell(value)}" for axis, value in pairs)

    def likeness_to(self, reference: int) -> list[Likeness | None]:
        """How close each cell is to one of them; None where there is nothing to compare, or the sizes differ.

        Raises:
            RequestError: If the reference has no image.
        """
        picture = self.cells[reference].image
        if picture is None:
            raise RequestError(f"the cell {self.name_of(reference)!r:.80} has no image to compare with; make it first")
        return [_likeness(picture, cell.image) for cell in self.cells]

    def sheet(self, page: int = 0) -> Image.Image:
        """All cells of a page on one picture; those without an image are grey."""
        start = page * self.cells_a_page
        found = [cell.image for cell in self.cells[start : start + self.cells_a_page]]
        size = next((image.size for image in found if image is not None), (64, 64))
        blank = Image.new("RGB", size, BLANK)
        tiles = [blank if image is None else image.resize(size) for image in found]
        return images.grid(tiles, columns=self.num_columns)

    def export(self, folder: str | Path, *, reference: int = 0) -> Path:
        """Write ``grid.csv``, ``grid.html`` and a sheet a page; files of the same names are replaced.

        Raises:
            RequestError: If the reference has no image.
            CheckpointError: If they cannot be written.
        """
        folder = Path(folder)
        write_atomic(folder / "grid.csv", self._table(reference).encode())
        write_atomic(folder / "grid.html", self._page().encode())
        for page in range(len(self.cells) // self.cells_a_page):
            images.save_png(folder / f"grid-{page}.png", self.sheet(page))
        return folder

    def _table(self, reference: int) -> str:
        """A line for each cell."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        names = [axis.name for axis in self.axes]
        writer.writerow([*names, "seconds", "error", "psnr", "ssim", "lpips"])
        for cell, close in zip(self.cells, self.likeness_to(reference), strict=True):
            figures = ["", "", ""] if close is None else [close.psnr, close.ssim, close.lpips]
            writer.writerow([*cell.values, cell.duration_sec, cell.error, *figures])
        return file.getvalue()

    def _page(self) -> str:
        tables = "".join(self._html_of(page) for page in range(len(self.cells) // self.cells_a_page))
        style = "img{image-rendering:pixelated;width:160px}td{vertical-align:top;max-width:160px}"
        head = f'<head><meta charset="utf-8"><title>Grid</title><style>{style}</style></head>'
        return f'<!DOCTYPE html><html lang="en">{head}<body>{tables}</body></html>'

    def _html_of(self, page: int) -> str:
        columns, rows, pages = (self.labels(axis) for axis in range(3))
        head = "".join(f"<th>{html.escape(label)}</th>" for label in ["", *columns])
        lines = []
        for row in range(self.cells_a_page // self.num_columns):
            start = page * self.cells_a_page + row * self.num_columns
            cells = "".join(f"<td>{_html_cell(cell)}</td>" for cell in self.cells[start : start + self.num_columns])
            lines.append(f"<tr><th>{html.escape(rows[row] if rows else '')}</th>{cells}</tr>")
        title = f"<h2>{html.escape(pages[page])}</h2>" if pages else ""
        return f"{title}<table><tr>{head}</tr>{''.join(lines)}</table>"


def seconds_a_step(model: Pipeline, settings: TaskSettings) -> float:
    """Take two steps of a walk and time the second, from which the length of a grid is estimated.

    Raises:
        RequestError: If the model cannot serve the settings.
    """
    steps = model.prepare(settings).steps
    next(steps, None)
    begin = time.perf_counter()
    next(steps, None)
    return time.perf_counter() - begin


def _all_settings(settings: TaskSettings, axes: Sequence[Axis]) -> Iterator[TaskSettings]:
    x, (y, z) = axes[0], (*axes[1:], None, None)[:2]
    pages = [settings] if z is None else [z.place(settings, index) for index in range(len(z.values))]
    for page in pages:
        for row in cells_of(page, x, y):
            yield from row


def _cell(axes: Sequence[Axis], number: int, settings: TaskSettings) -> Cell:
    values: dict[str, Any] = {}
    for axis in axes:
        number, index = divmod(number, len(axis.values))
        values[axis.name] = axis.values[index]
    return Cell(settings=settings, values=tuple(values.values()), model=values.get(MODEL))


def _likeness(reference: Image.Image, image: Image.Image | None) -> Likeness | None:
    if image is None or image.size != reference.size:
        return None
    try:
        return likeness(reference, image)
    except LdmLabError:  # smaller than the window of SSIM, or a package is missing
        return None


def _html_cell(cell: Cell) -> str:
    if cell.image is None:
        return html.escape(cell.error or "not made")
    buffer = io.BytesIO()
    cell.image.save(buffer, "PNG")
    return f'<img src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}" alt="cell"/>'


def _words(name: str) -> str:
    return name.removeprefix("num_").replace("_", " ")


def _spell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
