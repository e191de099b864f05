"""What is timed in fresh processes: importing, the first image of a cold start, and the memory that it takes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.subject import Subject
from benchmarks.timing import Samples, measure

ROOT = Path(__file__).parents[1]
IMPORTS = {"ours": "ldm_lab", "theirs": "diffusers", "torch": "torch"}


def run_process(words: Sequence[str]) -> tuple[float, dict]:
    """Run a fresh interpreter in the repository; its wall time in seconds, and the JSON of its last line."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "HF_HUB_OFFLINE": "1",
    }
    begin = time.perf_counter()
    output = subprocess.check_output([sys.executable, *words], text=True, env=environment)
    return time.perf_counter() - begin, json.loads(output.splitlines()[-1])


def import_seconds(module: str) -> tuple[float, bool]:
    """Seconds that importing a module takes in a fresh interpreter, and whether that loads torch."""
    script = f"import json, sys, time; t = time.perf_counter(); import {module}; t = time.perf_counter() - t; "
    script += "print(json.dumps({'seconds': t, 'torch': 'torch' in sys.modules}))"
    _, found = run_process(["-c", script])
    return found["seconds"], found["torch"]


def compare_imports(*, rounds: int) -> Samples:
    """``import ldm_lab`` and ``import diffusers``; one import of each before, so that all files are in memory."""
    for module in IMPORTS.values():
        import_seconds(module)
    sides = (lambda: import_seconds(IMPORTS["ours"])[0], lambda: import_seconds(IMPORTS["theirs"])[0])
    return measure(*sides, rounds=rounds)


def compare_cold_starts(subject: Subject, *, rounds: int) -> tuple[Samples, Samples]:
    """From starting Python to the first image on disk: seconds, and the largest memory in MB."""
    memory: dict[str, list[float]] = {"ours": [], "theirs": []}
    words = {"ours": str(subject.folder), "theirs": str(subject.their_folder)}
    size = subject.pipeline.model.config.image_size

    def sample(side: str) -> float:
        seconds, found = run_process(["-m", f"benchmarks.cold_{side}", words[side], str(size)])
        memory[side].append(found["peak_mb"])
        return seconds

    times = measure(lambda: sample("ours"), lambda: sample("theirs"), rounds=rounds)
    return times, Samples(tuple(memory["ours"]), tuple(memory["theirs"]))
