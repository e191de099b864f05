"""Checkpoints of a run: everything that the next step depends on, whole or absent.

``checkpoints/step-00001234/`` holds weights, averages and optimiser moments as safetensors, everything else as JSON,
and a manifest with digests. Randomness is a function of the step number, so no generator has to be saved.
"""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldm_lab.checkpoints.tensors import read_tensors, write_tensors
from ldm_lab.core.errors import CheckpointError, TrainingError
from ldm_lab.core.io import MANIFEST, atomic_folder, read_json, verify_manifest, write_json, write_manifest
from ldm_lab.core.runtime import num_threads, versions
from ldm_lab.training.ema import ExponentialAverage

_COUNTER = "step"  # what else the optimiser keeps of a parameter has its shape


@dataclass(frozen=True)
class TrainingState:
    """The live objects whose content a checkpoint holds."""

    module: nn.Module
    average: ExponentialAverage
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None

    def save(self, folder: Path, *, step: int, about: dict[str, Any], keep: int) -> None:
        """Write a checkpoint after ``step`` optimiser steps, then remove all but the newest ``keep``.

        Raises:
            TrainingError: If a number is not finite; nothing is written.
            CheckpointError: If it cannot be written; the previous ones stay.
        """
        files = {
            "model": dict(self.module.state_dict()),
            "average": self.average.average,
            "optimiser": _moments(self.optimiser),
        }
        for name, tensors in files.items():
            _refuse_non_finite(tensors, name, step)
        path = folder / f"step-{step:08d}"
        with atomic_folder(path, replace=True) as temporary:
            for name, tensors in files.items():
                write_tensors(temporary / f"{name}.safetensors", tensors)
            scaler = self.scaler.state_dict() if self.scaler is not None else None
            counters = {"step": step, "num_updates": self.average.num_updates, "scaler": scaler}
            write_json(temporary / "state.json", counters | about)
            write_manifest(temporary, about={"versions": versions(), "num_threads": num_threads()})
        verify_manifest(path)
        for old in list_checkpoints(folder)[keep:]:
            _remove(old)

    def load(self, path: Path) -> None:
        """Put a verified checkpoint's content into the live objects."""
        state = read_json(path / "state.json")
        self.module.load_state_dict(read_tensors(path / "model.safetensors"))
        self.average.load(read_tensors(path / "average.safetensors"), num_updates=state["num_updates"])
        _restore_moments(self.optimiser, read_tensors(path / "optimiser.safetensors"))
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def newest_intact(folder: Path) -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint whose digests are right, and what is wrong with each newer one."""
    damaged = {}
    for path in list_checkpoints(folder):
        try:
            verify_manifest(path)
        except CheckpointError as error:
            damaged[path] = str(error)
        else:
            return path, damaged
    return None, damaged


def set_aside(path: Path) -> None:
    """Rename a damaged checkpoint, so that it is neither counted nor taken for a whole one."""
    target = path.with_name(f"damaged-{path.name}")
    shutil.rmtree(target, ignore_errors=True)
    path.rename(target)


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value) for index, values in state.items() for key, value in values.items()
    }


def _restore_moments(optimiser: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    """Put saved moments back in the memory layout of their parameters: the fused kernel reads them as raw memory."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in moments.items():
        index, key = name.split(".")
        like = tensor if key == _COUNTER else parameters[int(index)]
        state.setdefault(int(index), {})[key] = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _refuse_non_finite(tensors: Mapping[str, Tensor], kind: str, step: int) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise TrainingError(
                f"step {step}: {name} of the {kind} holds NaN or infinity, so no checkpoint is written; "
                "start again to go on from the last one"
            )


def _remove(path: Path) -> None:
    """Delete a checkpoint, its manifest first, so that one removed by half is never taken for a whole one."""
    with suppress(OSError):  # one that stays costs room and nothing else
        (path / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(path)
