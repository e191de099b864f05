"""Reports: tables and notes as markdown for people, values as JSON for programs, and how they came about."""

import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch

from ldm_lab.core.io import write_atomic, write_json
from ldm_lab.core.runtime import choose_device, describe_device, versions


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Cells as they are shown; the first column names the row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""

    def markdown(self) -> str:
        """A GitHub table with its columns aligned, so that it also reads well in a terminal."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [_line(row, widths) for row in (self.header, *self.rows)]
        lines.insert(1, "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|")
        return "\n".join([f"**{self.title}**", "", *lines] if self.title else lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """When, where and how numbers came about."""

    date: str
    command: str
    machine: str
    versions: dict[str, str]

    def lines(self) -> list[str]:
        """One line for each fact."""
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [f"- {self.date}, `{self.command}`", f"- {self.machine}", f"- {packages}"]


class Report(Protocol):
    """What an evaluation or a benchmark found.

    Attributes:
        title: Its headline.
    """

    @property
    def title(self) -> str: ...  # noqa: D102

    def tables(self) -> Sequence[Table]:
        """The findings, as people read them."""

    def notes(self) -> Sequence[str]:
        """What has to be known beside the numbers."""

    def values(self) -> dict[str, Any]:
        """The findings, as programs read them."""


def circumstances(command: str, *, device: str = "auto") -> Circumstances:
    """Those of here and now.

    Args:
        command: What a person types to get the same numbers.
        device: Where they were computed, as ``choose_device`` takes it.
    """
    chosen = choose_device(device)
    accelerator = "" if chosen.type == "cpu" else f"{describe_device(chosen)}; "
    machine = f"{accelerator}{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used"
    return Circumstances(
        date=datetime.now(UTC).date().isoformat(), command=command, machine=machine, versions=versions()
    )


def cpu_name() -> str:
    """What the processor calls itself, and its widest vector instructions."""
    name = _linux_cpu_name() or _mac_cpu_name() or platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def render(report: Report, made: Circumstances) -> str:
    """The whole report as markdown."""
    parts = [f"## {report.title}", *(table.markdown() for table in report.tables())]
    lines = [*(f"- {note}" for note in report.notes()), *made.lines()]
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


def write_report(folder: str | Path, report: Report, made: Circumstances, *, name: str = "report") -> None:
    """Write ``name.md`` and ``name.json``; numbers that are not finite become null in JSON.

    Raises:
        CheckpointError: If the folder cannot be written.
    """
    folder = Path(folder)
    write_atomic(folder / f"{name}.md", render(report, made).encode())
    write_json(folder / f"{name}.json", _finite({"title": report.title, **report.values(), "made": asdict(made)}))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
    return "| " + " | ".join(padded) + " |"


def _linux_cpu_name() -> str | None:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)


def _mac_cpu_name() -> str | None:
    if platform.system() != "Darwin":
        return None
    answer = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
