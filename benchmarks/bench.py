"""The benchmark from end to end, and the table that it prints."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import CASES, Case
from benchmarks.processes import compare_cold_starts, compare_imports, import_seconds
from benchmarks.roofline import Roofline, measure_roofline
from benchmarks.subject import Subject, open_subject
from benchmarks.timing import Samples, compare
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.evaluation.report import Table

PROCESS_ROWS = ("import", "cold-start")
ROWS = (*CASES, *PROCESS_ROWS)

OnRow = Callable[[str], Any]  # called with the name of a row that is begun


class DifferentResultError(LdmLabError):
    """Both sides were to compute the same and did not; their times say nothing."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; less is better.

    Attributes:
        title: What was done.
        unit: "ms", "s" or "MB".
        samples: One number of each side a round, in that unit.
        gflop: Floating point operations of convolutions and matrix products, in 10⁹; None where they are not the point.
        gflop_theirs: Those of diffusers for the same result.
        deviation: Largest difference of both results, in units of their largest magnitude.
    """

    title: str
    unit: str
    samples: Samples
    gflop: float | None = None
    gflop_theirs: float | None = None
    deviation: float | None = None

    def cells(self, roofline: Roofline) -> tuple[str, ...]:
        """As the table shows it."""
        low, high = self.samples.spread
        shown = [_spell(value, self.unit) for value in (self.samples.median_ours, self.samples.median_theirs)]
        ratio = f"{self.samples.median_ratio:.2f}x ({low:.2f}–{high:.2f})"
        return (self.title, *shown, ratio, *self._work(roofline))

    def _work(self, roofline: Roofline) -> tuple[str, str]:
        if self.gflop is None:
            return "–", "–"
        seconds = self.samples.median_ours / 1000 if self.unit == "ms" else self.samples.median_ours
        return f"{self.gflop:.1f}", f"{100 * self.gflop / seconds / roofline.gflops:.0f} %"


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """All rows of one run."""

    rows: dict[str, Row]
    roofline: Roofline
    remarks: tuple[str, ...] = field(default=())

    @property
    def title(self) -> str:
        """Headline."""
        return "ldm_lab against diffusers: same run, same weights, fp32, CPU"

    def tables(self) -> list[Table]:
        """One table."""
        header = ("", "ldm_lab", "diffusers", "ratio (middle half)", "GFLOP", "of the roofline")
        return [Table(header=header, rows=tuple(row.cells(self.roofline) for row in self.rows.values()))]

    def notes(self) -> list[str]:
        """How to read it, and which rows are slower than diffusers."""
        slower = [row.title for row in self.rows.values() if row.samples.median_ratio < 1.0]
        rounds = max(len(row.samples.ours) for row in self.rows.values())
        return [
            f"medians of up to {rounds} rounds, both sides in turns; ratio: diffusers / ldm_lab, ahead above 1",
            f"roofline: {self.roofline.gflops:.0f} GFLOP/s in a large fp32 matrix product, measured in the same run; "
            f"copying {self.roofline.copy_gb:.0f} GB/s",
            *self.remarks,
            f"slower than diffusers: {'; '.join(slower) or 'no row'}",
        ]

    def values(self) -> dict[str, Any]:
        """Every sample of every row."""
        rows = {name: asdict(row) | {"ratio": row.samples.median_ratio} for name, row in self.rows.items()}
        return {"rows": rows, "roofline": asdict(self.roofline), "remarks": list(self.remarks)}


def run_bench(
    model: str,
    *,
    rows: Sequence[str] = ROWS,
    rounds: int = 7,
    threads: int | None = None,
    on_row: OnRow = lambda name: None,
) -> BenchReport:
    """Time the rows asked for.

    Args:
        model: Shipped name, folder, or name of a recipe, whose architecture then gets random weights.
        rows: Of ``ROWS``.
        rounds: Samples of each side; rows that start processes take at most 3.
        threads: Threads of torch; None leaves its own choice.
        on_row: Called with the name of every row as it begins.

    Raises:
        RequestError: If a row is unknown or there is no round.
        DifferentResultError: If both sides did not compute the same.
    """
    _check(rows, rounds)
    torch.set_num_threads(threads or torch.get_num_threads())
    with open_subject(model) as subject:
        before = measure_roofline()
        found: dict[str, Row] = {}
        for name in rows:
            on_row(name)
            found |= (
                _time_process_row(name, subject, rounds) if name in PROCESS_ROWS else _time_case(name, subject, rounds)
            )
        after = measure_roofline()
    roofline = Roofline(max(before.gflops, after.gflops), max(before.copy_gb, after.copy_gb))
    return BenchReport(rows=found, roofline=roofline, remarks=(subject.note, *_import_remarks(rows)))


def _check(rows: Sequence[str], rounds: int) -> None:
    unknown = [name for name in rows if name not in ROWS]
    if unknown or not rows:
        raise RequestError(f"there is no row {', '.join(unknown) or 'asked for'}; choose from {', '.join(ROWS)}")
    if rounds < 1:
        raise RequestError(f"rounds is {rounds}; give at least 1")


def _time_case(name: str, subject: Subject, rounds: int) -> dict[str, Row]:
    case = CASES[name](subject)
    deviation = _deviation(case)
    gflop, gflop_theirs = _count_gflop(case.ours), _count_gflop(case.theirs)
    seconds = compare(case.ours, case.theirs, rounds=rounds)
    unit = "s" if seconds.median_ours > 1 else "ms"
    samples = seconds if unit == "s" else _scaled(seconds, 1000)
    row = Row(title=case.title, unit=unit, samples=samples, gflop=gflop, gflop_theirs=gflop_theirs, deviation=deviation)
    return {name: row}


def _time_process_row(name: str, subject: Subject, rounds: int) -> dict[str, Row]:
    rounds = min(rounds, 3)
    if name == "import":
        title = "import ldm_lab / import diffusers"
        return {name: Row(title=title, unit="s", samples=compare_imports(rounds=rounds))}
    seconds, memory = compare_cold_starts(subject, rounds=rounds)
    return {
        name: Row(title="cold process to first image", unit="s", samples=seconds),
        "peak-memory": Row(title="peak memory of that process", unit="MB", samples=memory),
    }


def _deviation(case: Case) -> float:
    """How far both results are apart; this is also the first warm-up."""
    ours, theirs = case.ours(), case.theirs()
    deviation = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    if not deviation <= case.tolerance:
        raise DifferentResultError(
            f"{case.title}: both sides differ by {deviation:.2g}, at most {case.tolerance} is meant"
        )
    return deviation


def _count_gflop(function: Callable[[], Tensor]) -> float:
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 1e9


def _scaled(samples: Samples, factor: float) -> Samples:
    return Samples(*(tuple(factor * value for value in side) for side in (samples.ours, samples.theirs)))


def _import_remarks(rows: Sequence[str]) -> list[str]:
    if "import" not in rows:
        return []
    _, loads_torch = import_seconds("ldm_lab")
    alone, _ = import_seconds("torch")
    return [f"import ldm_lab loads {'torch' if loads_torch else 'no torch'}; import torch alone takes {alone:.2f} s"]


def _spell(value: float, unit: str) -> str:
    digits = 0 if unit == "MB" else 1 if unit == "ms" else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f} {unit}"
