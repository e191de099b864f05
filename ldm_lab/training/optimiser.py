"""The optimiser, its learning rate over time, and the check that nothing infinite reaches a weight."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from ldm_lab.core.errors import TrainingError
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.muon import Muon, split_parameters


def build_optimiser(module: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) or ``Muon`` over all parameters that want gradients."""
    settings: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "weight_decay": config.weight_decay,
        "fused": config.precision != "fp16",  # the fused kernel would skip steps of the loss scaler without telling
    }
    if config.optimiser == "adamw":
        return torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], **settings)
    matrices, others = split_parameters(module)
    groups = [{"params": matrices, "orthogonal": True}, {"params": others, "orthogonal": False}]
    return Muon([group for group in groups if group["params"]], **settings)


def effective_learning_rate(config: TrainingConfig, *, num_processes: int) -> float:
    """Peak learning rate after the reference's optional scaling by the number of images in a step."""
    images = num_processes * config.batch_size * config.accumulation
    return config.learning_rate * (images if config.scale_learning_rate else 1)


def learning_rate_at(step: int, peak: float, config: TrainingConfig) -> float:
    """Learning rate of a step, from 0: linear warm-up times the decay."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    progress = step / config.num_steps
    decay = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 * (1.0 + math.cos(math.pi * progress))}
    return peak * warmup * decay[config.decay]


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give all parameter groups one learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


def gradient_norm(module: nn.Module) -> Tensor:
    """Norm of all gradients taken as one vector. ()"""
    return get_total_norm([parameter.grad for parameter in module.parameters() if parameter.grad is not None])


def check_finite(step: int, loss: float, tensors: Mapping[str, Any], module: nn.Module) -> None:
    """Refuse a loss that is not a finite number, and say where the trouble starts.

    Raises:
        TrainingError: Naming the step, and the first input or weight that is not finite.
    """
    if math.isfinite(loss):
        return
    inputs = ((f"input {name}", value) for name, value in tensors.items() if isinstance(value, Tensor))
    weights = ((f"weight {name}", value) for name, value in module.named_parameters())
    culprit = _first_non_finite((*inputs, *weights)) or "the loss itself"
    raise TrainingError(f"step {step}: the loss is {loss}; the first value that is not finite is in {culprit}")


def check_gradients(step: int, norm: float, module: nn.Module) -> None:
    """Refuse a gradient that is not finite before it reaches a weight.

    Raises:
        TrainingError: Naming the step and the parameter.
    """
    if not math.isfinite(norm):
        gradients = ((name, p.grad) for name, p in module.named_parameters() if p.grad is not None)
        culprit = _first_non_finite(gradients) or "their sum"
        raise TrainingError(
            f"step {step}: the gradient norm is {norm}; the first gradient that is not finite is {culprit}"
        )


def _first_non_finite(named: Iterable[tuple[str, Tensor]]) -> str | None:
    return next((name for name, value in named if not torch.isfinite(value).all()), None)
