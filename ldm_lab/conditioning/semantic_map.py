"""Semantic maps: a class for every pixel, made small and concatenated to the latent."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldm_lab.conditioning.conditioner import Encode, Prepared, check_one_size, checked_pictures, listed, move
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError, RequestError


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticMapConfig:
    """How many classes a map has, and what is made of it; defaults as in the paper's models of landscapes."""

    num_classes: int = setting(182, help="Number of classes of a map.", minimum=1, maximum=65_536)
    channels: int = setting(3, help="Channels concatenated to the latent.", minimum=1, maximum=1024)
    num_halvings: int = setting(
        2, help="How often the map is halved; 2 for a first stage of f = 4.", minimum=0, maximum=6
    )
    names: tuple[str, ...] | None = setting(None, help="Names of the classes, in order.")

    def __post_init__(self) -> None:
        check(self)
        if self.names is not None and len(self.names) != self.num_classes:
            raise ConfigError(f"names has {len(self.names)} entries, but num_classes is {self.num_classes}")

    @property
    def concat_channels(self) -> int:
        """Channels concatenated to the latent."""
        return self.channels

    @property
    def factor(self) -> int:
        """How many times smaller than the picture the concatenated map is."""
        return 2**self.num_halvings


class SemanticMap(nn.Module):
    """Maps of class indices (B, H, W) → (B, channels, H/factor, W/factor), concatenated to the latent.

    The ``SpatialRescaler`` of LDM's reference: one-hot, halved by bilinear interpolation, which keeps the share that
    each class has of a cell, then a 1×1 convolution without bias. LDM (Rombach et al. 2022), section 4.3.2.
    """

    null = None
    has_null = False
    context_dim = None
    vector_dim = None

    def __init__(self, config: SemanticMapConfig) -> None:
        super().__init__()
        self.config = config
        self.concat_channels = config.concat_channels
        self.channel_mapper = nn.Conv2d(config.num_classes, config.channels, 1, bias=False)

    def attach(self, encode: Encode) -> None:
        """Needs no first stage."""

    def prepare(self, y: Sequence[Tensor]) -> Prepared:
        """Maps of class indices, each (H, W) → {"labels": (B, H, W)} on the CPU.

        Raises:
            RequestError: If a map is missing, holds an unknown class, or its sides do not fit.
        """
        maps = checked_pictures(y, Tensor, name="a semantic map")
        for labels in maps:
            self._check_map(labels)
        check_one_size(maps, name="the semantic maps")
        return {"labels": torch.stack([labels.cpu().long() for labels in maps])}

    def forward(self, prepared: Prepared) -> Conditioning:
        """{"labels": (B, H, W)} → concat (B, channels, H/factor, W/factor)."""
        one_hot = F.one_hot(prepared["labels"], self.config.num_classes)  # (B, H, W, K)
        h = one_hot.movedim(-1, 1).to(self.channel_mapper.weight.dtype)  # (B, K, H, W)
        for _ in range(self.config.num_halvings):
            h = F.interpolate(h, scale_factor=0.5, mode="bilinear")
        return Conditioning(concat=self.channel_mapper(h))

    def encode(self, y: Sequence[Tensor]) -> Conditioning:
        """Maps → ``Conditioning`` on the module's device."""
        return self(move(self.prepare(y), self.channel_mapper.weight.device))

    def notes(self, y: Sequence[Tensor]) -> list[str]:
        """Nothing of a map is left out."""
        self.prepare(y)
        return []

    def _check_map(self, labels: Tensor) -> None:
        is_integer = not labels.is_floating_point() and not labels.is_complex() and labels.dtype != torch.bool
        if labels.ndim != 2 or not is_integer or labels.numel() == 0:
            raise RequestError(
                f"a semantic map is {labels.dtype} of shape {tuple(labels.shape)}; expected integers (height, width)"
            )
        height, width = labels.shape
        if height % self.config.factor or width % self.config.factor:
            raise RequestError(
                f"a semantic map has {width} x {height} pixels; both must be multiples of {self.config.factor}"
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.config.num_classes:
            names = "" if self.config.names is None else f": {listed(self.config.names)}"
            raise RequestError(
                f"a semantic map holds class {low if low < 0 else high}; this model knows 0 to "
                f"{self.config.num_classes - 1}{names}"
            )
