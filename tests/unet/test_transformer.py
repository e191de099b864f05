"""The blocks that read the context."""

import pytest
import torch
import torch.nn.functional as F

from ldm_lab.unet.transformer import GEGLU, FeedForward, SpatialTransformer, TransformerBlock


@pytest.fixture
def block():
    torch.manual_seed(0)
    return TransformerBlock(8, num_heads=2, context_dim=6).double()


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return SpatialTransformer(8, num_heads=2, context_dim=6, depth=2, groups=4).double()


def test_geglu_is_its_formula(draw):
    geglu, tokens = GEGLU(4, 6).double(), draw(2, 3, 4)
    value, gate = F.linear(tokens, geglu.proj.weight[:6], geglu.proj.bias[:6]), geglu.proj(tokens)[..., 6:]
    cumulative = 0.5 * (1.0 + torch.erf(gate / 2**0.5))
    torch.testing.assert_close(geglu(tokens), value * gate * cumulative)


def test_the_feed_forward_sees_each_token_alone(draw):
    feed_forward, tokens = FeedForward(4).double(), draw(1, 5, 4)
    torch.testing.assert_close(feed_forward(tokens)[:, 2:3], feed_forward(tokens[:, 2:3]))


def test_the_order_of_context_tokens_is_invisible(block, draw):
    tokens, context = draw(2, 3, 8), draw(2, 5, 6)
    shuffled = context[:, [3, 0, 4, 2, 1]]
    out = block(tokens, block.attn2.keys_values(context))
    torch.testing.assert_close(out, block(tokens, block.attn2.keys_values(shuffled)))
    assert (out - block(tokens, block.attn2.keys_values(-context))).abs().max() > 1e-3


def test_a_single_context_token_says_the_same_at_every_place(block, draw):
    tokens, pair = draw(1, 4, 8), block.attn2.keys_values(draw(1, 1, 6))
    attended = block.attn2(block.norm2(tokens), pair)
    torch.testing.assert_close(attended, attended[:, :1].expand(-1, 4, -1))


def test_the_three_parts_in_their_order(block, draw):
    tokens, pair = draw(2, 3, 8), block.attn2.keys_values(draw(2, 5, 6))
    expected = tokens + block.attn1(block.norm1(tokens))
    expected = expected + block.attn2(block.norm2(expected), pair)
    expected = expected + block.ff(block.norm3(expected))
    torch.testing.assert_close(block(tokens, pair), expected)


def test_copies_equal_repetition(transformer, draw):
    h, context = draw(2, 8, 3, 5), draw(6, 5, 6)
    pairs = transformer.keys_values(context)
    torch.testing.assert_close(transformer(h, pairs), transformer(h.repeat(3, 1, 1, 1), pairs), rtol=0.0, atol=1e-12)


def test_the_memory_layout_changes_nothing_and_is_kept(transformer, draw):
    h, pairs = draw(2, 8, 3, 5), transformer.keys_values(draw(2, 5, 6))
    out = transformer(h.contiguous(memory_format=torch.channels_last), pairs)
    torch.testing.assert_close(out, transformer(h, pairs), rtol=0.0, atol=1e-12)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_places_are_rows_then_columns(transformer, draw):
    """Exchanging height and width everywhere must give the exchanged output."""
    h, pairs = draw(1, 8, 3, 5), transformer.keys_values(draw(1, 5, 6))
    torch.testing.assert_close(transformer(h.mT, pairs), transformer(h, pairs).mT)


def test_gradients(transformer, draw):
    h, context = draw(1, 8, 2, 3).requires_grad_(), draw(2, 3, 6).requires_grad_()

    def read(h, context):
        return transformer(h, transformer.keys_values(context))

    assert torch.autograd.gradcheck(read, (h, context), fast_mode=True)
