"""Grids as they are asked for, and the cells that were made before: each visitor's own, for a time."""

import hashlib
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.studio.desks import Desk
from apps.studio.models import Card
from apps.studio.requests import TASK_OF, check_limits, request, seeds_from
from ldm_lab.core.config import check
from ldm_lab.core.errors import RequestError
from ldm_lab.session import Axis, CellStore, Session
from ldm_lab.session.settings_grid import SettingsGrid
from ldm_lab.tasks import RunImage, TaskSettings
from ldm_lab.tasks.kinds import TEXT, UNCONDITIONAL

TAB = "grid"
NO_AXIS = "(none)"
MAX_CELLS = 36
KEPT_SEC = 3600.0


@dataclass(frozen=True, slots=True)
class GridWish:
    """A grid as the form or a program asks for it.

    Attributes:
        prompt: A sentence, or a class.
        seed: Of all cells.
        num_steps: Of all cells, unless they are an axis.
        x_name: Setting that varies along a row.
        x_values: Its values, with commas between.
        y_name: Setting that varies from row to row; empty: none.
        y_values: Its values.
    """

    prompt: str
    seed: int | float
    num_steps: int | float
    x_name: str
    x_values: str
    y_name: str = ""
    y_values: str = ""

    def __post_init__(self) -> None:
        check(self, error=RequestError)

    def planned(self, card: Card) -> SettingsGrid:
        """The grid of a model, with every cell within what this page allows.

        Raises:
            RequestError: If an axis or a cell is not accepted, or there are too many.
        """
        if card.kind not in TASK_OF:
            raise RequestError(f"{card.name} is {card.kind.words}; a grid needs a model of text, classes or neither")
        settings = request(TASK_OF[card.kind], self._settings(card), card=card)
        grid = SettingsGrid(settings, self._axes(type(settings)))
        if len(grid.cells) > MAX_CELLS:
            raise RequestError(f"the grid has {len(grid.cells)} cells; this page makes at most {MAX_CELLS}")
        for cell in grid.cells:
            check_limits(cell.settings, card=card)
        return grid

    def _settings(self, card: Card) -> dict[str, Any]:
        asked: dict[str, Any] = {"seeds": seeds_from(self.seed, 1), "num_steps": self.num_steps}
        if card.kind is TEXT:
            return asked | {"prompt": self.prompt}
        if card.kind is UNCONDITIONAL:
            return asked
        label = self.prompt.strip()
        return asked | {"label": int(label) if label.isdigit() else label or None}

    def _axes(self, settings: type[TaskSettings]) -> list[Axis]:
        named = [(self.x_name, self.x_values), (self.y_name, self.y_values)]
        used = named[:1] if self.y_name in ("", NO_AXIS) else named
        return [Axis.read(settings, name, values) for name, values in used]


class Cells:
    """Finished cells; those of each visitor lie in a folder of their own, so that nobody learns what others made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, key: str | None) -> CellStore:
        """Those of the visitor who knows a key; None: a folder that is empty and stays unknown."""
        name = hashlib.sha256(repr(key).encode()).hexdigest() if key else secrets.token_hex()
        return CellStore(self.folder / name)

    def sweep(self) -> None:
        """Delete cells that were made more than an hour ago."""
        limit = time.time() - KEPT_SEC
        for path in self.folder.glob("*/*.png"):
            with suppress(FileNotFoundError):  # the page ends, and takes the folder with it
                if path.stat().st_mtime < limit:
                    path.unlink()


def image_of(
    settings: TaskSettings, *, store: CellStore, desk: Desk, session: Session, card: Card
) -> tuple[RunImage, bool]:
    """The image of a cell, and whether it was there.

    Raises:
        LdmLabError: What ends its job.
    """
    resolved, origin = card.resolved(settings), session.model.origin
    image = store.find(resolved, origin)
    if image is not None:
        return image, True
    job = desk.jobs[TAB] = session.submit(settings, preview="none")
    try:
        run = job.result()
    finally:
        job.cancel()
        desk.jobs.pop(TAB, None)
    if not run.partial:
        store.keep(run.images[0], resolved, origin)
    return run.images[0], False
