from collections.abc import Callable

import pytest
import torch

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.unet import UNet, UNetConfig


@pytest.fixture
def make_unet() -> Callable[..., UNet]:
    """A small UNet in fp64 whose weights are random everywhere, also where training starts from zero."""

    def make(**changes) -> UNet:
        sizes = {"in_channels": 3, "out_channels": 3, "channels": 8, "channel_mult": (1, 2), "num_res_blocks": 1}
        torch.manual_seed(0)
        unet = UNet(UNetConfig(**sizes | {"attention_levels": (1,), "num_heads": 2, "norm_groups": 4} | changes))
        with torch.no_grad():
            for parameter in unet.parameters():
                parameter += 0.1 * torch.randn(parameter.shape)
        return unet.double()

    return make


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Standard normal numbers in fp64, new ones at each call, the same ones in each test."""
    generator = torch.Generator().manual_seed(1)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def make_cond(draw) -> Callable[..., Conditioning]:
    """Conditions of the widths that the tests use, by the names of their parts."""
    shapes = {"context": (5, 6), "vector": (4,), "concat": (2, 4, 8)}
    return lambda batch, *names: Conditioning(**{name: draw(batch, *shapes[name]) for name in names})
