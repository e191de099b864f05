import math

import pytest
import torch
from torch import nn

from ldm_lab.core.errors import TrainingError
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.optimiser import (
    build_optimiser,
    check_finite,
    check_gradients,
    effective_learning_rate,
    learning_rate_at,
    set_learning_rate,
)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.25, 0.45, 0.6, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        ("cosine", [min(1, (k + 1) / 4) * (1 + math.cos(math.pi * k / 10)) / 2 for k in range(10)]),
    ],
)
def test_learning_rate_of_every_step(decay, expected):
    config = TrainingConfig(num_steps=10, warmup_steps=4, decay=decay)
    assert [learning_rate_at(step, 1.0, config) for step in range(10)] == pytest.approx(expected, abs=1e-12)


def test_without_warm_up_the_first_step_has_the_peak():
    assert learning_rate_at(0, 3.0, TrainingConfig(num_steps=10, warmup_steps=0, decay="cosine")) == 3.0


def test_effective_learning_rate():
    config = TrainingConfig(learning_rate=1e-6, batch_size=12, accumulation=2)
    assert effective_learning_rate(config, num_processes=4) == 1e-6
    scaled = TrainingConfig(learning_rate=1e-6, batch_size=12, accumulation=2, scale_learning_rate=True)
    assert effective_learning_rate(scaled, num_processes=4) == pytest.approx(9.6e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_step_is_that_of_adamw(precision):
    """Loshchilov & Hutter 2019, algorithm 2: at the first step both moments' corrections leave g / (|g| + eps)."""
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(2.0)
    optimiser = build_optimiser(module, TrainingConfig(weight_decay=0.1, precision=precision))
    set_learning_rate(optimiser, 0.01)
    module.weight.grad = torch.tensor([[-3.0]])
    optimiser.step()
    assert module.weight.item() == pytest.approx(2.0 * (1 - 0.01 * 0.1) + 0.01, rel=1e-6)


def test_frozen_weights_are_not_optimised():
    module = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(False))
    (group,) = build_optimiser(module, TrainingConfig()).param_groups
    assert len(group["params"]) == 2


def test_a_finite_loss_passes_whatever_else_is_not():
    check_finite(1, 0.5, {"x": torch.tensor(float("nan"))}, nn.Linear(1, 1))
    check_gradients(1, 0.5, nn.Linear(1, 1))


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_first_culprit_is_named(loss):
    module = nn.Linear(2, 2)
    bad = torch.tensor([1.0, math.inf])
    with pytest.raises(TrainingError, match=f"step 7: the loss is {loss}.*in input z"):
        check_finite(7, loss, {"x": torch.zeros(2), "generator": object(), "z": bad}, module)
    with pytest.raises(TrainingError, match="in the loss itself"):
        check_finite(7, loss, {"x": torch.zeros(2)}, module)
    module.bias.data[1] = math.nan
    with pytest.raises(TrainingError, match="in weight bias"):
        check_finite(7, loss, {"x": torch.zeros(2)}, module)


def test_a_gradient_is_named():
    module = nn.Linear(2, 2)
    module.weight.grad, module.bias.grad = torch.zeros(2, 2), torch.tensor([0.0, math.nan])
    with pytest.raises(TrainingError, match="step 3: the gradient norm is nan; .* is bias"):
        check_gradients(3, math.nan, module)
