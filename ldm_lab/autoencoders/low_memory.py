"""Decoding strip by strip, with the same result: what makes a decoder large is its last, widest feature maps.

``Decoder.forward`` holds four to five maps of a level at once. Here a residual block holds its input and its output;
what lies between exists for a strip of rows only. Three things in a decoder are not local, and are treated exactly:

* Group norms need the mean and variance of whole maps: a first pass over the strips measures them, a second uses them.
* Convolutions see one row beyond the strip: strips overlap, and only rows that saw all they need are kept. At the edge
  of the image a strip ends where the image ends, so that padding is where it was.
* Attention: queries go in slices, keys and values are those of the whole map.

An upsampling in front of a block is not stored either, but computed again in each pass. In all it takes two to
three times as long as ``Autoencoder.decode``.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ldm_lab.autoencoders.autoencoder import Autoencoder, Decoder, Level, Middle
from ldm_lab.core.cancel import check_cancelled
from ldm_lab.core.errors import RequestError
from ldm_lab.nn.attention import Attention, SelfAttention2d
from ldm_lab.nn.blocks import ResidualBlock

MARGIN = 2  # rows beyond a strip that a block looks at: its two convolutions, or half of these and an upsampling's

Local = Callable[[Tensor], Tensor]  # a map (B, C, h, w) → (B, C', s·h, s·w), each row from rows within the margin
AS_IT_IS: Local = nn.Identity()


@torch.no_grad()
def decode_in_strips(autoencoder: Autoencoder, z_raw: Tensor, *, rows: int = 32) -> Tensor:
    """Decode with little memory; equal to ``autoencoder.decode`` up to rounding (about 1e-6 in fp32).

    Args:
        autoencoder: In evaluation mode.
        z_raw: Raw latents. (B, C, h, w)
        rows: Height of a strip; fewer rows take less memory and more time.

    Returns:
        Images. (B, 3, f·h, f·w)

    Raises:
        RequestError: If ``rows`` is not at least 1.
    """
    if rows < 1:
        raise RequestError(f"rows is {rows}; a strip has at least 1")
    z_decoder = autoencoder.quantize.to_decoder(z_raw)
    return _decode(autoencoder.decoder, autoencoder.post_quant_conv(z_decoder), rows)


def _decode(decoder: Decoder, z: Tensor, rows: int) -> Tensor:
    """``Decoder.forward``, in the same order."""
    first, second = _resnets(decoder.mid_block)
    h = _residual(first, decoder.conv_in(z), rows)
    for attention in _attentions(decoder.mid_block):
        h = _attend(attention, h, rows)
    h, before, scale = _residual(second, h, rows), AS_IT_IS, 1
    for level in cast(Iterable[Level], decoder.up_blocks):
        for resnet, attention in zip_longest(_resnets(level), _attentions(level)):
            h = _residual(resnet, h, rows, before=before, scale=scale)
            h = h if attention is None else _attend(attention, h, rows)
            before, scale = AS_IT_IS, 1
        for upsampler in level.upsamplers:
            before, scale = upsampler, 2
    norm = _measured(decoder.conv_norm_out, h, rows)
    return _map_strips(lambda strip: decoder.conv_out(F.silu(norm(strip))), h, rows)


def _resnets(part: Level | Middle) -> list[ResidualBlock]:
    return cast(list[ResidualBlock], list(part.resnets))


def _attentions(part: Level | Middle) -> list[SelfAttention2d]:
    return cast(list[SelfAttention2d], list(part.attentions))


def _residual(block: ResidualBlock, h: Tensor, rows: int, *, before: Local = AS_IT_IS, scale: int = 1) -> Tensor:
    """``block(before(h))``; ``before`` enlarges the map ``scale`` times. (B, C_in, h, w) → (B, C_out, s·h, s·w)"""
    norm1 = _measured(block.norm1, h, rows, before=before, scale=scale)

    def first(strip: Tensor) -> Tensor:
        return block.conv1(F.silu(norm1(strip)))

    norm2 = _measured(block.norm2, h, rows, before=lambda strip: first(before(strip)), scale=scale)

    def whole(strip: Tensor) -> Tensor:
        strip = before(strip)
        return block.conv_shortcut(strip) + block.conv2(F.silu(norm2(first(strip))))

    return _map_strips(whole, h, rows, scale=scale)


def _attend(attention: SelfAttention2d, h: Tensor, rows: int) -> Tensor:
    """``attention(h)`` with the queries of a few rows at a time. (B, C, h, w) → (B, C, h, w)"""
    tokens = rearrange(attention.group_norm(h), "b c height width -> b (height width) c")
    keys_values = attention.keys_values(tokens)
    queries = tokens.split(rows * h.shape[3], dim=1)
    attended = torch.cat([Attention.forward(attention, part, keys_values) for part in queries], dim=1)
    return h + rearrange(attended, "b (height width) c -> b c height width", height=h.shape[2])


def _measured(norm: nn.GroupNorm, h: Tensor, rows: int, *, before: Local = AS_IT_IS, scale: int = 1) -> Local:
    """The norm with the statistics of the whole of ``before(h)``, as a function of any strip of it.

    Moments of the strips are joined by the parallel formula of Chan, Golub & LeVeque 1979.
    """
    dtype = torch.promote_types(h.dtype, torch.float32)
    count, mean, squares = 0, h.new_zeros((), dtype=dtype), h.new_zeros((), dtype=dtype)
    for strip in _strips(before, h, rows, scale=scale):
        part = strip.reshape(len(strip), norm.num_groups, -1).to(dtype)
        variance, centre = torch.var_mean(part, dim=2, correction=0)  # (B, groups)
        size, distance = part.shape[2], centre - mean
        squares = squares + variance * size + distance.square() * (count * size / (count + size))
        mean, count = mean + distance * (size / (count + size)), count + size
    deviation = (squares / count + norm.eps).sqrt()
    return lambda strip: _normalised(strip, norm, mean, deviation)


def _normalised(strip: Tensor, norm: nn.GroupNorm, mean: Tensor, deviation: Tensor) -> Tensor:
    """Group norm with given moments (B, groups). (B, C, h, w) → (B, C, h, w)"""
    per_group = len(mean), norm.num_groups, 1, 1, 1
    groups = strip.unflatten(1, (norm.num_groups, -1))
    standard = ((groups - mean.view(per_group)) / deviation.view(per_group)).flatten(1, 2).to(strip)
    return standard * norm.weight[:, None, None] + norm.bias[:, None, None]


def _map_strips(function: Local, h: Tensor, rows: int, *, scale: int = 1) -> Tensor:
    """``function(h)``, strip by strip."""
    strips = _strips(function, h, rows, scale=scale)
    first, top = next(strips), 0
    out = first.new_empty(*first.shape[:2], scale * h.shape[2], first.shape[3])
    for strip in chain([first], strips):
        out[:, :, top : top + strip.shape[2]] = strip
        top += strip.shape[2]
    return out


def _strips(function: Local, h: Tensor, rows: int, *, scale: int) -> Iterator[Tensor]:
    """The strips of ``function(h)``, from top to bottom; ``rows`` counts rows of ``h``."""
    height = h.shape[2]
    for start in range(0, height, rows):
        check_cancelled()
        stop = min(start + rows, height)
        top, bottom = max(0, start - MARGIN), min(height, stop + MARGIN)
        yield function(h[:, :, top:bottom])[:, :, scale * (start - top) : scale * (stop - top)]
