"""Residual blocks and changes of resolution, against their formulas."""

import pytest
import torch
import torch.nn.functional as F

from ldm_lab.nn.blocks import Downsample, ResidualBlock, Upsample, repeat_batch

VARIANTS = {
    "plain": {},
    "wider": {"out_channels": 6},
    "added": {"embedding_channels": 3},
    "scale and shift": {"embedding_channels": 3, "scale_shift": True},
    "down": {"embedding_channels": 3, "resample": "down"},
    "up": {"out_channels": 6, "resample": "up"},
}
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def make_block(out_channels: int = 4, **options) -> ResidualBlock:
    torch.manual_seed(0)
    return ResidualBlock(4, out_channels, groups=2, **options).double()


def modulation_of(block: ResidualBlock, embedding: torch.Tensor) -> torch.Tensor | None:
    return block.modulation(embedding) if hasattr(block, "time_emb_proj") else None


@variants
def test_gradients(variant, draw):
    block = make_block(**variant)
    h, embedding = draw(2, 4, 4, 2).requires_grad_(), draw(2, 3).requires_grad_("embedding_channels" in variant)
    assert torch.autograd.gradcheck(lambda h, e: block(h, modulation_of(block, e)), (h, embedding), fast_mode=True)


@variants
def test_the_memory_layout_changes_nothing_and_is_kept(variant, draw):
    block, h = make_block(**variant), draw(2, 4, 4, 6)
    modulation = modulation_of(block, draw(2, 3))
    out = block(h.contiguous(memory_format=torch.channels_last), modulation)
    torch.testing.assert_close(out, block(h, modulation), rtol=0.0, atol=1e-12)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_block_is_its_formula(draw):
    block, h = make_block(out_channels=6, embedding_channels=3), draw(2, 4, 4, 6)
    modulation = block.modulation(draw(2, 3))
    inner = F.conv2d(F.silu(F.group_norm(h, 2, eps=1e-6)), block.conv1.weight, block.conv1.bias, padding=1)
    inner = F.group_norm(inner + modulation, 2, eps=1e-6)
    inner = F.conv2d(F.silu(inner), block.conv2.weight, block.conv2.bias, padding=1)
    skip = F.conv2d(h, block.conv_shortcut.weight, block.conv_shortcut.bias)
    torch.testing.assert_close(block(h, modulation), skip + inner, rtol=0.0, atol=1e-12)


def test_the_modulation_is_a_linear_map_of_silu(draw):
    block, embedding = make_block(embedding_channels=3), draw(2, 3)
    expected = (embedding * embedding.sigmoid()) @ block.time_emb_proj.weight.T + block.time_emb_proj.bias
    torch.testing.assert_close(block.modulation(embedding), expected[:, :, None, None])


def test_scale_and_shift_act_after_the_norm(draw):
    block, h = make_block(embedding_channels=3, scale_shift=True), draw(2, 4, 4, 6)
    nothing = torch.zeros(2, 8, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(block(h, nothing), block(h), rtol=0.0, atol=1e-12)
    silent = torch.cat([-torch.ones(2, 4, 1, 1), torch.zeros(2, 4, 1, 1)], dim=1).double()  # scaled by 1 - 1
    torch.testing.assert_close(block(h, silent), h + block.conv2.bias[:, None, None], rtol=0.0, atol=1e-12)


def test_a_constant_added_to_a_whole_group_is_removed_by_the_norm(draw):
    """Negative control of the one above: what is added before the norm acts in another way."""
    block, h = make_block(embedding_channels=3), draw(2, 4, 4, 6)
    torch.testing.assert_close(block(h, torch.full((2, 4, 1, 1), 7.0).double()), block(h), rtol=0.0, atol=1e-9)


@pytest.mark.parametrize(("resample", "size"), [("up", (8, 12)), ("down", (2, 3))])
def test_resampling_inside_a_block_also_resamples_the_skip(draw, resample, size):
    block, h = make_block(resample=resample), draw(2, 4, 4, 6)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    torch.testing.assert_close(block(h), F.interpolate(h, size=size, mode="area"))


def test_dropout_acts_in_training_only(draw):
    block, h = make_block(dropout=0.5), draw(2, 4, 4, 6)
    torch.manual_seed(0)
    assert not torch.equal(block(h), block(h))
    block.eval()
    assert torch.equal(block(h), block(h))


def test_downsampling_reads_the_places_that_its_padding_says(draw):
    h = draw(1, 1, 4, 6)
    for asymmetric, first in ((True, h[0, 0, 0, 0]), (False, 0.0)):
        down = Downsample(1, asymmetric=asymmetric).double()
        torch.nn.init.zeros_(down.conv.bias)
        with torch.no_grad():
            down.conv.weight.zero_()[0, 0, 0, 0] = 1.0  # the corner of the 3×3 window
        out = down(h)
        assert out.shape == (1, 1, 2, 3)
        assert out[0, 0, 0, 0] == first
        assert out[0, 0, 1, 1] == (h[0, 0, 2, 2] if asymmetric else h[0, 0, 1, 1])


def test_upsampling_repeats_each_place(draw):
    up, h = Upsample(2).double(), draw(1, 2, 2, 3)
    torch.nn.init.dirac_(up.conv.weight)
    torch.nn.init.zeros_(up.conv.bias)
    torch.testing.assert_close(up(h), h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_repeating_a_batch_keeps_copies_together_and_the_layout(draw):
    h = draw(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    out = repeat_batch(h, 6)
    assert torch.equal(out, h.repeat(3, 1, 1, 1))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert repeat_batch(h, 2) is h
    assert repeat_batch(h, 1) is h  # a batch of one is broadcast by who meets it
