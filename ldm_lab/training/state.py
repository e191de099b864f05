"""Checkpoints of a run: everything that the next step depends on, whole or absent.

``checkpoints/step-00001234/`` holds weights, averages and optimiser moments as safetensors, everything else as JSON, and a
manifest with digests. Randomness is a function of the step number, so no generator has to be saved.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldm_lab.checkpoints.tensors import read_tensors, write_tensors
from ldm_lab.core.errors import CheckpointError
from ldm_lab.core.io import atomic_folder, read_json, remove_leftovers, verify_manifest, write_json, write_manifest
from ldm_lab.training.ema import ExponentialAverage

_SHAPED_LIKE_PARAMETER = ("exp_avg", "exp_avg_sq")
_OPTIMISER_KEYS = ("step", *_SHAPED_LIKE_PARAMETER)


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
            CheckpointError: If it cannot be written; the previous ones stay.
        """
        path = folder / f"step-{step:08d}"
        if path.exists():
            return
        with atomic_folder(path) as temporary:
            write_tensors(temporary / "model.safetensors", dict(self.module.state_dict()))
            write_tensors(temporary / "average.safetensors", self.average.average)
            write_tensors(temporary / "optimiser.safetensors", _moments(self.optimiser))
            scaler = self.scaler.state_dict() if self.scaler is not None else None
            counters = {"step": step, "num_updates": self.average.num_updates, "scaler": scaler}
            write_json(temporary / "state.json", counters | about)
            write_manifest(temporary)
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


def newest_intact(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint whose digests are right, and a sentence about each newer one that was passed over."""
    remove_leftovers(folder)
    notes = []
    for path in list_checkpoints(folder):
        try:
            verify_manifest(path)
        except CheckpointError as error:
            notes.append(f"{path.name} is passed over: {error}")
        else:
            return path, notes
    return None, notes


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {f"{index}.{key}": torch.as_tensor(values[key]) for index, values in state.items() for key in _OPTIMISER_KEYS}


def _restore_moments(optimiser: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    """Put saved moments back in the memory layout of their parameters: the fused kernel reads them as raw memory."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in moments.items():
        index, key = name.split(".")
        like = parameters[int(index)] if key in _SHAPED_LIKE_PARAMETER else tensor
        state.setdefault(int(index), {})[key] = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _remove(path: Path) -> None:
    """Delete a checkpoint, its manifest first, so that one removed by half is never taken for a whole one."""
    (path / "manifest.json").unlink(missing_ok=True)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
