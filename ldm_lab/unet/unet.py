"""The UNet of latent diffusion: noisy latent, time and condition in; prediction out.

Structure of the paper's reference (LDM, Rombach et al. 2022, section 3.3, on the network of Dhariwal & Nichol 2021);
parameter names are those of diffusers, so its weights load without a map.

There is one way through the network, ``_walk``. What its blocks are told besides the feature map (*told*) depends on
time and condition alone: ``forward`` computes it for one call, ``bind`` for all steps of a sampling loop.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.nn.attention import SelfAttention2d
from ldm_lab.nn.blocks import ResidualBlock, group_norm, repeat_batch
from ldm_lab.unet.checks import check_condition, check_latent, check_steps
from ldm_lab.unet.config import UNetConfig
from ldm_lab.unet.embedding import EmbeddingMLP, PlaceEmbedding, sinusoids
from ldm_lab.unet.evaluation import Evaluation, EvaluationPoint
from ldm_lab.unet.levels import NORM_EPS, DownLevel, Middle, UpLevel
from ldm_lab.unet.transformer import SpatialTransformer

Told = dict[nn.Module, tuple]  # block → its arguments after the feature map
Denoise = Callable[[Tensor, int], Tensor]


class UNet(nn.Module):
    """Residual blocks and attention on the way down to the lowest resolution and, beside skips, on the way up."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, levels = config.widths, range(config.num_levels)
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        if config.coordinates:
            self.place_embedding = PlaceEmbedding(widths[0])
        self.time_embedding = EmbeddingMLP(config.channels, config.embedding_dim)
        if config.vector_dim is not None:
            self.class_embedding = EmbeddingMLP(config.vector_dim, config.embedding_dim)
        self.down_blocks = nn.ModuleList(DownLevel(config, level) for level in levels)
        self.mid_block = Middle(config)
        self.up_blocks = nn.ModuleList(UpLevel(config, level) for level in reversed(levels))
        self.conv_norm_out = group_norm(widths[0], groups=config.norm_groups, eps=NORM_EPS)
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, 3, padding=1)
        self.evaluation_point = EvaluationPoint()
        self._resnets = tuple(block for block in self.modules() if isinstance(block, ResidualBlock))
        self._transformers = tuple(block for block in self.modules() if isinstance(block, SpatialTransformer))
        self._initialize()

    def forward(self, z_t: Tensor, t: Tensor, cond: Conditioning | None = None) -> Tensor:
        """Predict from a noisy latent.

        Args:
            z_t: Noisy latents. (B, C, h, w)
            t: Step of each latent. (B,)
            cond: Condition of each latent; with ``concat``, C and its channels add up to ``in_channels``.

        Returns:
            eps, z_0 or v, whichever the network was trained for. (B, out_channels, h, w)

        Raises:
            ShapeError: If a shape does not fit the config, or a part of the condition is missing or unknown.
        """
        check_steps(t, batch=len(z_t))
        check_condition(cond, self.config)
        check_latent(z_t, cond, self.config)
        embedding = self._embed_time(t)
        if self.config.vector_dim is not None:
            embedding = embedding + self.class_embedding(cond.vector)
        return self._walk(z_t, cond, self._time_told(embedding) | self._context_told(cond))

    def bind(self, cond: Conditioning | None, timesteps: Tensor, *, copies: int = 1) -> Denoise:
        """Compute all that is constant over a sampling loop; the result predicts for one of its steps.

        Every latent may be asked under several conditions at once, as classifier-free guidance does. What comes before
        the first use of the condition is then computed once for all copies.

        Args:
            cond: Conditions, [copy 0 of all latents, copy 1 of all latents, …].
            timesteps: Steps that the loop visits. (S,)
            copies: Conditions of each latent.

        Returns:
            ``denoise(z_t, i)``, which maps (B, C, h, w) at ``timesteps[i]`` to (copies·B, out_channels, h, w), equal to
            ``forward`` with everything repeated.

        Raises:
            ShapeError: As ``forward`` does.
        """
        check_steps(timesteps)
        check_condition(cond, self.config, copies=copies)
        context_told, time_told = self._context_told(cond), self._time_table(timesteps, cond)

        def predict(z_t: Tensor, i: int) -> Tensor:
            out = self._walk(z_t, cond, time_told(i) | context_told)
            return repeat_batch(out, copies * len(z_t))

        def denoise(z_t: Tensor, i: int) -> Tensor:
            check_latent(z_t, cond, self.config, copies=copies)
            evaluation = Evaluation(index=i, timesteps=timesteps, copies=copies)
            return self.evaluation_point(z_t, evaluation, partial(predict, i=i))

        return denoise

    def _walk(self, z_t: Tensor, cond: Conditioning | None, told: Told) -> Tensor:
        """The way through the network; the batch grows to that of the condition where the condition first enters."""
        visit = self._visitor(told)
        h = self.conv_in(self._concatenate(z_t, cond).contiguous(memory_format=torch.channels_last))
        if self.config.coordinates:
            h = h + self.place_embedding(h)
        if cond is not None and cond.vector is not None:
            h = repeat_batch(h, len(cond.vector))
        skips = [h]
        for level in self.down_blocks:
            skips += level(skips[-1], visit)
        h = self.mid_block(skips[-1], visit)
        for level in self.up_blocks:
            h = level(h, [skips.pop() for _ in level.resnets], visit)
        return self.conv_out(F.silu(self.conv_norm_out(h)))

    def _visitor(self, told: Told) -> Callable[[nn.Module, Tensor], Tensor]:
        """How blocks are called: with what they are told, and checkpointed in training where the config says so."""
        if self.config.gradient_checkpointing and torch.is_grad_enabled():
            return lambda block, h: checkpoint(block, h, *told.get(block, ()), use_reentrant=False)
        return lambda block, h: block(h, *told.get(block, ()))

    def _concatenate(self, z_t: Tensor, cond: Conditioning | None) -> Tensor:
        if cond is None or cond.concat is None:
            return z_t
        return torch.cat([repeat_batch(z_t, len(cond.concat)), cond.concat.to(z_t)], dim=1)

    def _embed_time(self, t: Tensor) -> Tensor:
        """Steps (B,) → (B, E)."""
        return self.time_embedding(sinusoids(t, self.config.channels))

    def _time_told(self, embedding: Tensor) -> Told:
        """What residual blocks are told by an embedding (B, E)."""
        return {block: (block.modulation(embedding),) for block in self._resnets}

    def _context_told(self, cond: Conditioning | None) -> Told:
        """What spatial transformers are told by the context, which a conditioner may hold in another number format."""
        dtype = self.conv_in.weight.dtype
        return {block: (block.keys_values(cond.context.to(dtype)),) for block in self._transformers}

    def _time_table(self, timesteps: Tensor, cond: Conditioning | None) -> Callable[[int], Told]:
        """``_time_told`` of every step: from one table, unless a vector makes it differ between conditions."""
        embeddings = self._embed_time(timesteps.to(self.conv_in.weight.device))  # (S, E)
        if self.config.vector_dim is not None:
            vectors = self.class_embedding(cond.vector)  # (copies·B, E)
            return lambda i: self._time_told(embeddings[i : i + 1] + vectors)
        table = self._time_told(embeddings)
        return lambda i: {block: (modulation[i : i + 1],) for block, (modulation,) in table.items()}

    def _initialize(self) -> None:
        """Depart from PyTorch's defaults where the reference does."""
        # Every residual block, attention and transformer starts as its skip, so that depth does not change the scale.
        for block in self._resnets:
            zero(block.conv2)
        for block in self.modules():
            if isinstance(block, SelfAttention2d):
                zero(block.to_out[0])
        for block in self._transformers:
            zero(block.proj_out)
        # The prediction starts at zero, the mean of noise.
        zero(self.conv_out)


def zero(layer: nn.Conv2d | nn.Linear) -> None:
    """Set weight and bias to zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
