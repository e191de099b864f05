"""Our UNet is diffusers' UNet: the same names, the same numbers, the same gradients."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.unet import UNet, UNetConfig

EXACT = {"rtol": 0.0, "atol": 1e-10}  # fp64; the sums are long, the order of their terms differs
SINGLE = {"rtol": 1e-5, "atol": 1e-5}

CONDITIONAL = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "cross_attention_dim": 12}
CONDITIONAL |= {"up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "norm_num_groups": 8}
UNCONDITIONAL = {"flip_sin_to_cos": True, "freq_shift": 0, "norm_eps": 1e-5, "norm_num_groups": 8}
UNCONDITIONAL |= {"down_block_types": ("AttnDownBlock2D",) * 2, "up_block_types": ("AttnUpBlock2D",) * 2}


@dataclass(frozen=True, kw_only=True)
class Case:
    """The same network twice: a config of ours and what makes it in diffusers."""

    config: UNetConfig
    theirs: dict[str, Any]
    context: bool = True
    vector: bool = False
    concat: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def config(**changes: Any) -> UNetConfig:
    sizes = {"in_channels": 4, "out_channels": 4, "channels": 16, "channel_mult": (1, 2), "norm_groups": 8}
    return UNetConfig(**sizes | {"num_res_blocks": 1, "attention_levels": (1,)} | changes)


CASES = {
    "cross-attention": Case(config=config(num_heads=2, context_dim=12), theirs=CONDITIONAL | {"attention_head_dim": 2}),
    "heads by width, deep": Case(
        config=config(head_channels=8, context_dim=12, transformer_depth=2),
        theirs=CONDITIONAL | {"attention_head_dim": (2, 4), "transformer_layers_per_block": 2},
    ),
    "three levels of two": Case(
        config=config(channel_mult=(1, 2, 2), attention_levels=(0, 1), num_heads=2, context_dim=12, num_res_blocks=2),
        theirs=CONDITIONAL
        | {
            "layers_per_block": 2,
            "block_out_channels": (16, 32, 32),
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            "attention_head_dim": 2,
        },
    ),
    "vector, scale and shift": Case(
        config=config(num_heads=2, context_dim=12, vector_dim=5, scale_shift_norm=True),
        theirs=CONDITIONAL
        | {
            "attention_head_dim": 2,
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": 5,
            "resnet_time_scale_shift": "scale_shift",
        },
        vector=True,
    ),
    "hybrid": Case(
        config=config(in_channels=7, num_heads=2, context_dim=12),
        theirs=CONDITIONAL | {"in_channels": 7, "attention_head_dim": 2},
        concat=3,
    ),
    "unconditional": Case(
        config=config(head_channels=8),
        theirs=UNCONDITIONAL
        | {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
        | {"attention_head_dim": 8},
        context=False,
    ),
    "concatenation": Case(
        config=config(in_channels=6, out_channels=4, attention_levels=(), num_heads=1),
        theirs=UNCONDITIONAL
        | {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "in_channels": 6}
        | {"attention_head_dim": 32},
        context=False,
        concat=2,
    ),
    "in the manner of ADM": Case(
        config=config(attention_levels=(0, 1), head_channels=8, scale_shift_norm=True, resblock_updown=True),
        theirs=UNCONDITIONAL
        | {"attention_head_dim": 8, "resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 8}
        | {"downsample_type": "resnet", "upsample_type": "resnet"},
        context=False,
    ),
}


def build(case: Case, like) -> tuple[UNet, torch.nn.Module]:
    sizes = {"in_channels": 4, "out_channels": 4, "block_out_channels": (16, 32), "layers_per_block": 1}
    theirs = (UNet2DConditionModel if case.context else UNet2DModel)(**sizes | case.theirs)
    return like(UNet(case.config), theirs)


def inputs(case: Case) -> tuple[torch.Tensor, torch.Tensor, Conditioning | None]:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    parts = {"context": draw(2, 5, 12)} if case.context else {}
    parts |= {"vector": draw(2, 5)} if case.vector else {}
    parts |= {"concat": draw(2, case.concat, 4, 8)} if case.concat else {}
    z_t = draw(2, case.config.in_channels - case.concat, 4, 8)
    return z_t, torch.tensor([3, 961]), Conditioning(**parts) if parts else None


def their_output(theirs: torch.nn.Module, z_t: torch.Tensor, t: torch.Tensor, cond: Conditioning | None):
    parts = {} if cond is None else cond.parts()
    z_t = torch.cat([z_t, parts["concat"]], dim=1) if "concat" in parts else z_t
    if "context" not in parts:
        return theirs(z_t, t).sample
    return theirs(z_t, t, parts["context"], class_labels=parts.get("vector")).sample


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_same_output_and_gradients_in_double_precision(case, like, same_gradients):
    ours, theirs = (network.double() for network in build(case, like))
    z_t, t, cond = inputs(case)
    z_ours, z_theirs = z_t.clone().requires_grad_(), z_t.clone().requires_grad_()
    output, expected = ours(z_ours, t, cond), their_output(theirs, z_theirs, t, cond)
    torch.testing.assert_close(output, expected, **EXACT)
    same_gradients(ours, theirs, output, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(z_ours.grad, z_theirs.grad, **EXACT)


@pytest.mark.parametrize("case", [CASES["vector, scale and shift"], CASES["unconditional"]], ids=["text", "none"])
@torch.no_grad()
def test_same_output_in_single_precision(case, like):
    ours, theirs = build(case, like)
    z_t, t, cond = inputs(case)
    z_t, cond = z_t.float(), cond and cond.to(dtype=torch.float32)
    torch.testing.assert_close(ours(z_t, t, cond), their_output(theirs, z_t, t, cond), **SINGLE)


@torch.no_grad()
def test_a_bound_step_is_their_step_under_both_conditions(like):
    case = CASES["cross-attention"]
    ours, theirs = (network.double() for network in build(case, like))
    z_t, _, cond = inputs(case)
    both = Conditioning.cat([cond, replace(cond, context=-cond.context)])
    expected = theirs(z_t.repeat(2, 1, 1, 1), 961, both.context).sample
    denoise = ours.bind(both, torch.tensor([999, 961]), copies=2)
    torch.testing.assert_close(denoise(z_t, 1), expected, **EXACT)


@pytest.mark.parametrize("num_heads", [1, 4])
@torch.no_grad()
def test_another_number_of_heads_is_another_network(like, num_heads):
    """Negative control: heads leave no trace in the names and shapes of the weights, only in the numbers."""
    case = CASES["cross-attention"]
    ours, theirs = build(replace(case, config=replace(case.config, num_heads=num_heads)), like)
    z_t, t, cond = inputs(case)
    z_t, cond = z_t.float(), cond.to(dtype=torch.float32)
    assert (ours(z_t, t, cond) - their_output(theirs, z_t, t, cond)).abs().max() > 1e-3
