"""What the training loop asks of a stage, and the record that it yields."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import nn


@dataclass(frozen=True)
class TrainStep:
    """One optimiser step, finished.

    Attributes:
        index: Number of the step, from 0.
        loss: The loss that was differentiated, averaged over accumulation.
        terms: Its parts and other figures of the step.
        lr: Learning rate that was used.
        grad_norm: Norm of the gradient before clipping.
        figures: Health figures of the averaged weights, at steps that draw a sheet.
    """

    index: int
    loss: float
    terms: dict[str, float]
    lr: float
    grad_norm: float
    figures: dict[str, float] = field(default_factory=dict)


class Stage(Protocol):
    """A training problem: its networks, its data, and what to show and to keep of it.

    Attributes:
        objective: Called with a batch, returns an ``ObjectiveValue``; all of its parameters are trained.
        averaged: The part of ``objective`` whose average is sampled and kept.
        identity: JSON values that have to be the same when a run goes on.
        rests: Whether some steps leave some parameters of ``objective`` without a gradient.
    """

    objective: nn.Module
    averaged: nn.Module
    identity: dict[str, Any]
    rests: bool

    def batch(self, draw: int, size: int) -> dict[str, Any]:
        """Arguments of ``objective`` for forward pass ``draw``, a function of that number alone."""

    def step_arguments(self, step: int) -> dict[str, Any]:
        """Further arguments that depend on the optimiser step."""

    def figures(self) -> dict[str, float]:
        """Latent health, measured with the weights as they are."""

    def sheet(self) -> Image.Image:
        """A picture of what the weights can do."""

    def export(self, folder: Path, *, provenance: dict[str, Any]) -> None:
        """Write the model with the weights as they are."""
