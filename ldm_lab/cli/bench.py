"""``ldm-lab bench``: ldm_lab timed against diffusers; the code lies in the repository's ``benchmarks`` folder."""

import shlex
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ldm_lab.core.errors import MissingDependencyError
from ldm_lab.evaluation.report import circumstances, render, write_report

ROOT = Path(__file__).parents[2]


def bench(
    *,
    model: str = "shapes-text",
    rows: tuple[str, ...] = (),
    rounds: int = 7,
    threads: int | None = None,
    output: Path | None = None,
) -> None:
    """Time ldm_lab against diffusers: same machine, same weights, in turns.

    Args:
        model: Name of a shipped model, or a folder; a recipe whose model is not shipped gets random weights.
        rows: Only these, such as unet-step or decode.
        rounds: Samples of each side.
        threads: Threads of torch; None leaves its own choice.
        output: Folder for bench.md and bench.json, such as benchmarks/results; None writes nothing.
    """
    benchmark = load_benchmark()
    report = benchmark.run_bench(
        model,
        rows=rows or benchmark.ROWS,
        rounds=rounds,
        threads=threads,
        on_row=lambda name: print(f"{name} …", file=sys.stderr),
    )
    made = circumstances(shlex.join(["ldm-lab", *sys.argv[1:]]), device="cpu")
    print(render(report, made))
    if output is not None:
        write_report(output, report, made, name="bench")


def load_benchmark() -> ModuleType:
    """The benchmark of the repository that this package was installed from in place.

    Raises:
        MissingDependencyError: If the package was installed alone.
    """
    if not (ROOT / "benchmarks").is_dir():
        raise MissingDependencyError(
            f"the benchmark is no part of the installed package, and {ROOT} has no folder benchmarks; "
            "clone the repository and pip install -e . there"
        )
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return import_module("benchmarks.bench")
