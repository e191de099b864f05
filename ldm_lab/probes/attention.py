"""Where a UNet looks: its attention over words and over its own places, recorded while a walk runs.

The fused kernel of attention gives no weights, so they are computed a second time, beside it, from the same queries and
keys; what the network computes is untouched. Weights are averaged over heads at once and never kept as a whole: a few
rows of queries at a time (at most 4 million numbers, 16 MB in fp32) become a map of each word, or a summary of each
place. Of several conditions evaluated together, as guidance does, the last one is recorded: the condition itself.

A recording is for one walk of one model. What it keeps stays on the model's device, so that nothing waits for a GPU.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ldm_lab.core.errors import RequestError
from ldm_lab.nn.attention import Attention, SelfAttention2d
from ldm_lab.probes.hooks import MAX_BYTES, hooked
from ldm_lab.unet import UNet
from ldm_lab.unet.evaluation import Evaluation
from ldm_lab.unet.transformer import TransformerBlock

MAX_ELEMENTS = 1 << 22  # of one slice of attention weights

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """The attention layers of a UNet that see one resolution on one stretch of the way.

    Attributes:
        place: On the way down, in the middle, or on the way up.
        level: 0 is the resolution of the latent; each further level halves both sides.
    """

    place: Literal["down", "mid", "up"]
    level: int

    def __str__(self) -> str:
        return f"{self.place} 1/{2**self.level}"


AttentionMaps = dict[LayerGroup, Tensor]  # (B, K, h, w) each, in the order of the way through the network
Summarise = Callable[[Tensor, Tensor, Size, int], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class AttentionStep:
    """Attention at one evaluation of the UNet.

    Attributes:
        index: Position in the walk, that of the ``Step``.
        t: Step of the model's schedule.
        maps: Of each layer group, in fp16. (B, K, h, w)
    """

    index: int
    t: int | float
    maps: AttentionMaps


class AttentionRecording:
    """What was recorded so far.

    Attributes:
        steps: One record for each evaluation of the UNet, if they were asked for. Where a large image is sampled in
            patches there are several of one index, each of another patch.
    """

    def __init__(
        self, summarise: Summarise, num_layers: Mapping[LayerGroup, int], *, size: Size | None, max_bytes: int | None
    ) -> None:
        self.steps: list[AttentionStep] = []
        self._summarise, self._num_layers, self._size = summarise, num_layers, size
        self._max_bytes = max_bytes  # of all steps; None: steps are not kept
        self._sums: AttentionMaps = {}  # over evaluations, in fp32 at least
        self._num_evaluations = 0
        self._evaluation: Evaluation | None = None  # the one under way
        self._maps: AttentionMaps = {}  # of it
        self._latents: tuple[int, ...] = ()  # its shape (B, C, h, w)

    def mean(self) -> AttentionMaps:
        """Averaged over all evaluations, in fp32 at least: (B, K, h, w) of each layer group.

        Raises:
            RequestError: If there was none.
        """
        if not self._num_evaluations:
            raise RequestError("no attention was recorded; let a walk of this UNet run inside the with block")
        return {group: total / self._num_evaluations for group, total in self._sums.items()}

    def _begin(self, _module: nn.Module, inputs: tuple) -> None:
        """Before an evaluation."""
        z_t, self._evaluation = inputs[:2]
        self._latents, self._maps = tuple(z_t.shape), {}

    @torch.no_grad()
    def _see(self, group: LayerGroup, queries: Tensor, keys: Tensor) -> None:
        """Before an attention: add what it weighs to its group; outside an evaluation nothing is recorded."""
        if self._evaluation is None:
            return
        batch, _, *sides = self._latents
        height, width = (side >> group.level for side in sides)
        maps = self._summarise(queries[-batch:], keys[-batch:], (height, width), 2**group.level)
        maps = (maps if self._size is None else resized(maps, self._size)) / self._num_layers[group]
        self._maps[group] = self._maps[group] + maps if group in self._maps else maps

    def _end(self, _module: nn.Module, _inputs: tuple, output: Tensor | None) -> None:
        """After an evaluation, also after one that failed and has no output."""
        evaluation, self._evaluation = self._evaluation, None
        if output is None or evaluation is None:
            return
        self._add(self._maps)
        if self._max_bytes is not None:
            self._check_budget(evaluation)
            maps = {group: each.half() for group, each in self._maps.items()}
            t = evaluation.timesteps[evaluation.index].item()
            self.steps.append(AttentionStep(evaluation.index, t, maps))

    def _add(self, maps: AttentionMaps) -> None:
        for group, each in maps.items():
            total = self._sums.get(group, torch.zeros_like(each))
            if total.shape != each.shape:
                raise RequestError(
                    f"this recording holds attention of shape {tuple(total.shape)}, and now came {tuple(each.shape)}; "
                    "open a recording for each walk"
                )
            self._sums[group] = total + each
        self._num_evaluations += 1

    def _check_budget(self, evaluation: Evaluation) -> None:
        """Refuse at the first step what the last would not have room for."""
        to_come = len(evaluation.timesteps) - evaluation.index
        needed = 2 * sum(maps.numel() for maps in self._maps.values()) * (len(self.steps) + to_come)
        if needed > self._max_bytes:
            raise RequestError(
                f"attention of every step takes {needed:,} bytes, but max_bytes is {self._max_bytes:,}; give a smaller "
                "size, or per_step=False for the mean alone"
            )


@contextmanager
def record_cross_attention(
    unet: UNet, *, size: Size | None = None, per_step: bool = True, max_bytes: int = MAX_BYTES
) -> Iterator[AttentionRecording]:
    """Record how much each place of the latent looks at each token while a walk runs inside the block.

    A map is softmax(Q K^T / sqrt(D)), the mean over the heads and layers of a group. Over the tokens it sums to 1 at
    every place. Cross-attention maps of words: DAAM (Tang et al. 2023), whose code, too, takes the conditional half of
    the batch and the mean over heads and layers; which tokens are which word: ``words_of``.

    Args:
        unet: Of any model that reads a context; recorded are its bound denoisers, which all walks use.
        size: Common (height, width) of all maps; None: each group at its own.
        per_step: Whether every step is kept, or the mean alone.
        max_bytes: What the steps may take: 2 B M bytes a place, summed over groups and steps.

    Yields:
        The recording; K is the number of tokens M.

    Raises:
        RequestError: If the UNet has no cross-attention; in the first step of a walk whose steps exceed ``max_bytes``.
    """
    layers = [
        (group, block.attn2)
        for group, part in _parts(unet)
        for block in part.modules()
        if isinstance(block, TransformerBlock)
    ]
    if not layers:
        raise RequestError("this UNet has no cross-attention: its context_dim is None; record its self-attention")
    with _recorded(unet, layers, _of_tokens, size=size, max_bytes=max_bytes if per_step else None) as recording:
        yield recording


@contextmanager
def record_self_attention(
    unet: UNet, *, size: Size | None = None, per_step: bool = True, max_bytes: int = MAX_BYTES
) -> Iterator[AttentionRecording]:
    """Record a summary of how places look at each other: two numbers for each, not the N x N weights.

    Channel 0, *received*: how much the other places look at this one; 1 is an equal share, the mean is 1. Channel 1,
    *distance*: the mean distance from this place to those that it looks at, weighted by attention, in places of the
    latent; "attention distance" of Dosovitskiy et al. 2021 (ViT), section 4.5, figure 7.

    Args:
        unet: Any; recorded are its bound denoisers, which all walks use.
        size: Common (height, width) of all maps; None: each group at its own.
        per_step: Whether every step is kept, or the mean alone.
        max_bytes: What the steps may take: 4 B bytes a place, summed over groups and steps.

    Yields:
        The recording; K is 2.

    Raises:
        RequestError: In the first step of a walk whose steps exceed ``max_bytes``.
    """
    layers = [(group, attention) for group, part in _parts(unet) for attention in _self_attentions(part)]
    with _recorded(unet, layers, _of_places, size=size, max_bytes=max_bytes if per_step else None) as recording:
        yield recording


def heat_maps(maps: AttentionMaps, *, size: Size | None = None) -> Tensor:
    """The mean over layer groups at one resolution.

    Args:
        maps: Of a step, or ``recording.mean()``; leave groups out to look at the others.
        size: (height, width); None: the largest among them.

    Returns:
        In fp32 at least. (B, K, height, width)

    Raises:
        RequestError: If there are no maps.
    """
    if not maps:
        raise RequestError("there are no attention maps; give those of at least one layer group")
    size = size or max((each.shape[-2], each.shape[-1]) for each in maps.values())
    return torch.stack([resized(each, size) for each in maps.values()]).mean(0)


def resized(maps: Tensor, size: Size) -> Tensor:
    """Maps at another resolution, (B, K, h, w) → (B, K, height, width), in fp32 at least.

    Linear, with antialiasing where they shrink: unlike the bicubic of DAAM it never leaves [0, 1], and what sums to 1
    over the channels still does.
    """
    return F.interpolate(at_least_fp32(maps), size, mode="bilinear", antialias=True)


def attention_weights(queries: Tensor, keys: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """softmax(Q K^T / sqrt(D)), averaged over heads, for some queries after the other.

    Vaswani et al. 2017, eq. 1, without the product with V.

    Args:
        queries: (B, heads, N, D)
        keys: (B, heads, M, D)

    Yields:
        Which queries, and their weights in fp32 at least. (B, n, M)
    """
    queries, keys = at_least_fp32(queries) * queries.shape[-1] ** -0.5, at_least_fp32(keys)
    rows = max(1, MAX_ELEMENTS // (keys.shape[0] * keys.shape[1] * keys.shape[2]))
    for start in range(0, queries.shape[2], rows):
        part = slice(start, start + rows)
        yield part, (queries[:, :, part] @ keys.mT).softmax(-1).mean(1)


def at_least_fp32(values: Tensor) -> Tensor:
    """The same in fp32, or in fp64 if it is that already."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _of_tokens(queries: Tensor, keys: Tensor, size: Size, _stride: int) -> Tensor:
    """One map for each token. (B, M, h, w)"""
    weights = torch.cat([part for _, part in attention_weights(queries, keys)], dim=1)  # (B, h w, M)
    return weights.mT.unflatten(2, size)


def _of_places(queries: Tensor, keys: Tensor, size: Size, stride: int) -> Tensor:
    """What each place receives, and how far it looks; ``stride`` is the size of a place in the latent. (B, 2, h, w)"""
    axes = [stride * torch.arange(side, device=keys.device, dtype=torch.float32) for side in size]
    places = torch.cartesian_prod(*axes)  # (h w, 2)
    received, distances = 0, []
    for part, weights in attention_weights(queries, keys):
        received = received + weights.sum(1)
        distances.append((weights * torch.cdist(places[part], places)).sum(-1))
    return torch.stack([received, torch.cat(distances, dim=1)], dim=1).unflatten(2, size)


def _parts(unet: UNet) -> Iterator[tuple[LayerGroup, nn.Module]]:
    """The parts of a UNet in the order of the way through it."""
    lowest = unet.config.num_levels - 1
    for level, part in enumerate(unet.down_blocks):
        yield LayerGroup("down", level), part
    yield LayerGroup("mid", lowest), unet.mid_block
    for steps_up, part in enumerate(unet.up_blocks):
        yield LayerGroup("up", lowest - steps_up), part


def _self_attentions(part: nn.Module) -> Iterator[Attention]:
    for module in part.modules():
        if isinstance(module, TransformerBlock):
            yield module.attn1
        elif isinstance(module, SelfAttention2d):
            yield module


@contextmanager
def _recorded(
    unet: UNet,
    layers: list[tuple[LayerGroup, Attention]],
    summarise: Summarise,
    *,
    size: Size | None,
    max_bytes: int | None,
) -> Iterator[AttentionRecording]:
    num_layers = Counter(group for group, _ in layers)
    recording = AttentionRecording(summarise, num_layers, size=size, max_bytes=max_bytes)
    with hooked(_register(unet, layers, recording)):
        yield recording


def _register(
    unet: UNet, layers: list[tuple[LayerGroup, Attention]], recording: AttentionRecording
) -> Iterator[RemovableHandle]:
    yield unet.evaluation_point.register_forward_pre_hook(recording._begin)
    for group, attention in layers:
        yield attention.dot_product.register_forward_pre_hook(
            lambda _, inputs, group=group: recording._see(group, *inputs[:2])
        )
    yield unet.evaluation_point.register_forward_hook(recording._end, always_call=True)
