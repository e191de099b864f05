"""What was measured of the panels, beside what was asked for."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ldm_lab.core.io import format_bytes
from ldm_lab.evaluation.report import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """Something that was measured several times; what was asked for is at most a limit.

    Attributes:
        title: What.
        samples: One number a round.
        unit: Of samples and limit.
        digits: How many are told behind the point; the limit is judged to as many.
        limit: None: nothing was asked for.
        words: How the limit comes about.
    """

    title: str
    samples: tuple[float, ...]
    unit: str = "ms"
    digits: int = 0
    limit: float | None = None
    words: str = ""

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.samples)

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps the limit; None where there is none."""
        return None if self.limit is None else round(self.median, self.digits) <= round(self.limit, self.digits)

    @property
    def measured(self) -> str:
        """Median, least and most."""
        low, middle, high = map(self._spell, (min(self.samples), self.median, max(self.samples)))
        return f"{middle} {self.unit} ({low}–{high})"

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        if self.limit is None:
            return self.title, self.measured, "–", "–"
        asked = f"≤ {self._spell(self.limit)} {self.unit}"
        return self.title, self.measured, f"{asked} ({self.words})", "yes" if self.is_met else "no"

    def _spell(self, value: float) -> str:
        return f"{value:.{self.digits}f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A panel in the notebook: how long it took to open, and the bytes that the file keeps of it."""

    opening: Figure
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class PanelReport:
    """What was measured of the panels."""

    figures: tuple[Figure, ...]
    panels: Mapping[str, Kept] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Headline."""
        return "Panels in JupyterLab and Chromium, from the hand to the screen"

    def tables(self) -> list[Table]:
        """The figures that were asked for, and each panel."""
        figures = Table(
            header=("", "median (least–most)", "asked for", "met"), rows=tuple(each.cells() for each in self.figures)
        )
        panels = Table(
            header=("panel", "opens in", "kept in the notebook file"),
            rows=tuple(
                (name, kept.opening.measured, format_bytes(kept.num_bytes)) for name, kept in self.panels.items()
            ),
        )
        return [figures, panels]

    def notes(self) -> list[str]:
        """How to read it."""
        return [
            "a time begins with the event in the page and ends when the page has changed; of Stop it contains the "
            "decoding of the last prediction",
            "kept: the file as JupyterLab saves it with the state of widgets, less that of the same notebook without",
            *self.remarks,
        ]

    def values(self) -> dict[str, Any]:
        """Every sample."""
        panels = {name: asdict(kept) for name, kept in self.panels.items()}
        return {"figures": [asdict(figure) for figure in self.figures], "panels": panels, "remarks": list(self.remarks)}
