from collections.abc import Callable

import pytest
import torch
from torch import nn

from ldm_lab.sampling import Guidance, Step, make_scheduler, sample_steps

PROMPTS = ["a large red circle", "a small blue star on white"]
NEGATIVES = ["on white", "circle"]
SHAPE = (3, 8, 8)


def walk_steps(model, *, around=None, sampler="ddpm", prompts=PROMPTS, negatives=NEGATIVES, **guidance):
    """The walk as a generator: two images, three steps, guided away from other prompts, with noise in every step."""
    with torch.no_grad():
        cond, negative = (None if y is None else model.condition(y) for y in (prompts, negatives))
    guidance = Guidance(**{"scale": 3.0, "negative": negative} | guidance)
    scheduler = make_scheduler(sampler, model.config.schedule, model.prediction)
    sizes = {"num_steps": 3, "seeds": [5, 6], "shape": SHAPE}
    return sample_steps(around or model, cond, scheduler, guidance=guidance, **sizes)


@pytest.fixture
def walk() -> Callable[..., list[Step]]:
    return lambda model, **changes: list(walk_steps(model, **changes))


@pytest.fixture
def begin() -> Callable:
    return walk_steps


@pytest.fixture
def num_hooks() -> Callable[[nn.Module], int]:
    """How many forward hooks of any kind hang on a network."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called", "_forward_hooks_with_kwargs")
    return lambda network: sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Standard normal numbers in fp64, new ones at each call, the same ones in each test."""
    generator = torch.Generator().manual_seed(1)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)
