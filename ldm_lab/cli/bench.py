"""``ldm-lab bench``: ldm_lab timed against diffusers; the code lies in the repository's ``benchmarks`` folder."""

import shlex
import sys
from pathlib import Path
from types import ModuleType

from ldm_lab.cli.checkout import import_from_checkout
from ldm_lab.evaluation.report import circumstances, render, write_report


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
    """The benchmark of the repository.

    Raises:
        MissingDependencyError: If the package was installed alone.
    """
    return import_from_checkout("benchmarks.bench", what="the benchmark")
