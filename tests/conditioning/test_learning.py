"""A small UNet learns one batch from its conditions alone, whatever their kind.

At the last step the noisy latent holds next to nothing of the clean one, and fresh noise is drawn at every step, so
that only the condition can tell two latents of opposite sign apart.
"""

import pytest
import torch
import torch.nn.functional as F

from ldm_lab.conditioning import (
    ClassLabelConfig,
    LayoutTransformerConfig,
    LowResolutionImageConfig,
    MaskedImageConfig,
    SemanticMapConfig,
    TextTransformerConfig,
    build_conditioner,
)
from ldm_lab.core.layout import LayoutObject
from ldm_lab.core.masks import MaskedPicture
from ldm_lab.unet import UNet, UNetConfig

SIDE = 4
TOKENS = {"width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
HALF = torch.zeros(1, SIDE, SIDE)
HALF[:, :2] = 1
KINDS = {
    "class": (ClassLabelConfig(num_classes=2, width=8), [0, 1]),
    "class vector": (ClassLabelConfig(num_classes=2, width=8, target="vector"), [0, 1]),
    "text": (TextTransformerConfig(vocab_size=64, max_tokens=4, **TOKENS), ["red", "blue"]),
    "layout": (
        LayoutTransformerConfig(vocabularies=(("star",),), grid=5, max_objects=1, **TOKENS),
        [(LayoutObject(("star",), (0.0, 0.0, 0.5, bottom)),) for bottom in (0.5, 1.0)],
    ),
    "semantic map": (
        SemanticMapConfig(num_classes=2, num_halvings=1),
        [torch.full((2 * SIDE, 2 * SIDE), value) for value in (0, 1)],
    ),
    "low resolution": (LowResolutionImageConfig(), [torch.full((3, SIDE, SIDE), value) for value in (-0.5, 0.5)]),
    "masked image": (
        MaskedImageConfig(latent_channels=3),
        [MaskedPicture(torch.full((3, SIDE, SIDE), value), HALF) for value in (-0.5, 0.5)],
    ),
}


def build(config, tokenizer):
    conditioner = build_conditioner(config, tokenizer=tokenizer)
    conditioner.attach(lambda x: x)  # a first stage that changes nothing
    unet = UNet(
        UNetConfig(
            in_channels=3 + conditioner.concat_channels,
            out_channels=3,
            channels=8,
            channel_mult=(1,),
            num_res_blocks=1,
            attention_levels=(0,),
            num_heads=2,
            context_dim=conditioner.context_dim,
            vector_dim=conditioner.vector_dim,
            norm_groups=4,
        )
    )
    return unet, conditioner


def learn(config, y, tokenizer, *, steps=60):
    """Mean error of the last ten steps; that of a network which always predicts zero is one."""
    torch.manual_seed(0)
    unet, conditioner = build(config, tokenizer)
    z_0 = torch.ones(2, 3, SIDE, SIDE) * torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    prepared, t = conditioner.prepare(y), torch.full((2,), 999)
    optimiser = torch.optim.Adam([*unet.parameters(), *conditioner.parameters()], lr=1e-2)
    losses = []
    for _ in range(steps):
        loss = F.mse_loss(unet(torch.randn_like(z_0), t, conditioner(prepared)), z_0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return sum(losses[-10:]) / 10


@pytest.mark.parametrize(("config", "y"), KINDS.values(), ids=KINDS.keys())
def test_the_error_falls_to_a_quarter(config, y, tokenizer):
    assert learn(config, y, tokenizer) < 0.25


def test_two_equal_conditions_teach_nothing(tokenizer):
    """Negative control: what the network learns above it learns from the condition."""
    config, (first, _) = KINDS["class"]
    assert learn(config, [first, first], tokenizer) > 0.9
