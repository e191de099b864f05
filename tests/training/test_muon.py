"""Muon beside torch's own, beside AdamW, and by what it is defined by."""

import pytest
import torch
from torch import nn

from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.muon import orthogonalised, split_parameters
from ldm_lab.training.optimiser import build_optimiser

LR, DECAY = 0.02, 0.1
CONFIG = TrainingConfig(optimiser="muon", learning_rate=LR, weight_decay=DECAY)


def gradient(parameter, step):
    return torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)) / (1 + step)


def train(module, optimiser, *, num_steps=4):
    for step in range(num_steps):
        for parameter in module.parameters():
            parameter.grad = gradient(parameter, step)
        optimiser.step()


@pytest.mark.parametrize("shape", [(48, 48), (40, 120), (120, 40)])
def test_singular_values_come_to_lie_near_one(shape):
    matrices = (
        torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1e-6, 1.0, 1e4])[:, None, None]
    )
    result = orthogonalised(matrices)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.3
    assert values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    likeness = torch.cosine_similarity(result.flatten(1), (u @ vh).flatten(1))
    assert likeness.min() > 0.95


@pytest.mark.parametrize("shape", [(48, 64), (96, 32)])
def test_matrices_move_as_with_torch_s_own(shape):
    torch.manual_seed(0)
    module, other = (nn.Linear(*reversed(shape), bias=False) for _ in range(2))
    other.load_state_dict(module.state_dict())
    train(module, build_optimiser(module, CONFIG))
    train(other, torch.optim.Muon(other.parameters(), lr=LR, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"))
    moved = (module.weight - other.weight).abs().max()
    assert moved < 0.03 * LR, "both multiply in bf16, in another order"


def test_a_kernel_is_a_matrix_of_its_output_channels():
    torch.manual_seed(0)
    kernel, matrix = nn.Conv2d(16, 32, 3, bias=False), nn.Linear(16 * 9, 32, bias=False)
    matrix.weight.data.copy_(kernel.weight.flatten(1))
    for module in (kernel, matrix):
        train(module, build_optimiser(module, CONFIG))
    torch.testing.assert_close(kernel.weight.flatten(1), matrix.weight, rtol=0, atol=0)


def test_everything_else_moves_as_with_adamw():
    torch.manual_seed(0)
    modules = [nn.ModuleList([nn.Linear(32, 32), nn.Embedding(64, 32), nn.Conv2d(3, 32, 3)]) for _ in range(2)]
    modules[1].load_state_dict(modules[0].state_dict())
    for module, kind in zip(modules, ("muon", "adamw"), strict=True):
        config = TrainingConfig(optimiser=kind, learning_rate=LR, weight_decay=DECAY)
        train(module, build_optimiser(module, config))
    ours, plain = (dict(module.named_parameters()) for module in modules)
    assert not torch.equal(ours.pop("0.weight"), plain.pop("0.weight"))
    torch.testing.assert_close(ours, plain, rtol=0, atol=0)


def test_what_counts_as_a_matrix():
    module = nn.ModuleDict(
        {
            "attention": nn.Linear(32, 64),
            "kernel": nn.Conv2d(32, 32, 3),
            "words": nn.Embedding(100, 32),
            "first": nn.Conv2d(3, 64, 3),
            "last": nn.Conv2d(64, 4, 3),
            "frozen": nn.Linear(64, 64).requires_grad_(False),
        }
    )
    matrices, others = split_parameters(module)
    assert {id(p) for p in matrices} == {id(module["attention"].weight), id(module["kernel"].weight)}
    assert len(others) == 2 + 1 + 2 + 2  # biases of both, the words, both ends with their biases


def test_a_network_without_matrices_is_served():
    module = nn.Linear(2, 2)
    train(module, build_optimiser(module, CONFIG))
    assert torch.isfinite(module.weight).all()
