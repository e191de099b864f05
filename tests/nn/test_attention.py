"""Attention against its formula and against PyTorch's own module."""

import pytest
import torch
from torch import nn

from ldm_lab.nn.attention import Attention, DotProduct, SelfAttention2d


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def make_attention(**options) -> Attention:
    torch.manual_seed(0)
    return Attention(8, **{"num_heads": 2, "head_channels": 4} | options).double()


def test_it_is_pytorchs_attention(draw):
    ours = make_attention(context_width=6, qkv_bias=True)
    theirs = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.q_proj_weight.copy_(ours.to_q.weight)
        theirs.k_proj_weight.copy_(ours.to_k.weight)
        theirs.v_proj_weight.copy_(ours.to_v.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.to_q.bias, ours.to_k.bias, ours.to_v.bias]))
        theirs.out_proj.weight.copy_(ours.to_out[0].weight)
        theirs.out_proj.bias.copy_(ours.to_out[0].bias)
    tokens, context = draw(2, 5, 8), draw(2, 3, 6)
    expected = theirs(tokens, context, context, need_weights=False)[0]
    torch.testing.assert_close(ours(tokens, ours.keys_values(context)), expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("side", [3, 300])  # written out, and through the fused kernel
def test_training_in_bf16_is_the_formula_too(draw, side):
    drawn = [draw(2, 2, side, 4).bfloat16().requires_grad_() for _ in range(3)]
    exact = [tensor.detach().double().requires_grad_() for tensor in drawn]
    out = DotProduct()(*drawn)
    expected = torch.softmax(exact[0] @ exact[1].mT / 4**0.5, dim=-1) @ exact[2]
    rounding = {"rtol": 0.0, "atol": 0.02}  # three products of numbers with 8 bits
    torch.testing.assert_close(out.double(), expected, **rounding)
    slope = draw(*out.shape)
    (out.double() * slope).sum().backward()
    (expected * slope).sum().backward()
    for ours, theirs in zip(drawn, exact, strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=0.05, atol=0.05)


def test_the_formula(draw):
    attention, tokens = make_attention(num_heads=1, head_channels=8), draw(2, 5, 8)
    q, k, v = attention.to_q(tokens), attention.to_k(tokens), attention.to_v(tokens)
    weights = torch.softmax(q @ k.mT / 8**0.5, dim=-1)
    torch.testing.assert_close(attention(tokens), attention.to_out[0](weights @ v), rtol=0.0, atol=1e-12)


def test_without_keys_the_tokens_attend_to_each_other(draw):
    attention, tokens = make_attention(), draw(2, 5, 8)
    assert torch.equal(attention(tokens), attention(tokens, attention.keys_values(tokens)))


def test_one_question_is_answered_for_every_copy_of_the_context(draw):
    attention, tokens, context = make_attention(context_width=6), draw(2, 5, 8), draw(6, 3, 6)
    pair = attention.keys_values(context)
    expected = attention(tokens.repeat(3, 1, 1), pair)
    torch.testing.assert_close(attention(tokens, pair), expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("num_heads", [1, 2])
def test_self_attention_follows_a_permutation_of_places(draw, num_heads):
    torch.manual_seed(0)
    attention, h = SelfAttention2d(8, num_heads=num_heads, groups=4).double(), draw(2, 8, 3, 5)
    out = attention(h)
    torch.testing.assert_close(attention(h.flip(2)), out.flip(2), rtol=0.0, atol=1e-12)
    torch.testing.assert_close(attention(h.mT), out.mT, rtol=0.0, atol=1e-12)
    assert (attention(h.flip(1)) - out.flip(1)).abs().max() > 1e-3  # negative control: channels are no places


def test_self_attention_keeps_the_memory_layout(draw):
    attention, h = SelfAttention2d(8, groups=4).double(), draw(2, 8, 3, 5)
    out = attention(h.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(out, attention(h), rtol=0.0, atol=1e-12)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_gradients(draw):
    attention, h = SelfAttention2d(8, num_heads=2, groups=4).double(), draw(1, 8, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(attention, (h,), fast_mode=True)


@torch.no_grad()
def test_a_hook_sees_queries_and_keys(draw):
    attention, tokens, context, seen = make_attention(context_width=6), draw(1, 5, 8), draw(2, 3, 6), []
    expected = attention(tokens, attention.keys_values(context))
    with attention.dot_product.register_forward_pre_hook(lambda _, inputs: seen.append(inputs)):
        assert torch.equal(attention(tokens, attention.keys_values(context)), expected)
    ((queries, keys, values),) = seen
    weights = (queries @ keys.mT / 4**0.5).softmax(-1)
    answer = (weights @ values).movedim(1, 2).flatten(2)  # (B, N, heads D)
    torch.testing.assert_close(attention.to_out[0](answer), expected, rtol=0.0, atol=1e-12)
