"""Which of many drawings an image shows: the nearest ones, and what they are composed of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.images import to_pil
from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_composition import Composition, composition_of
from ldm_lab.data.emoji_placement import may_be_mirrored
from ldm_lab.evaluation.drawing_features import drawing_features
from ldm_lab.evaluation.progress import BATCH

WITHOUT_PRODUCTS = "donot_use_mm_for_euclid_dist"  # by matrix products, a picture is 0.001 from itself


@dataclass(frozen=True, slots=True)
class Shown:
    """Whether an image shows the skin tones and the gender that were asked for."""

    tones: bool
    gender: bool


class Gallery:
    """All drawings of a data set, those that may be mirrored in both ways.

    Drawings with the very same picture are one to the eye: whatever is said of one holds for all of them.

    Args:
        source: The drawings; only its plain ones are looked at.

    Attributes:
        emoji: What each of them is.
        compositions: What it is composed of.
        trained: Whether training sees it. bool (N,)
    """

    def __init__(self, source: EmojiDrawings) -> None:
        self.source, self.num_drawings = source, source.num_drawings
        self.emoji = source.emoji(range(self.num_drawings))
        self.compositions = [composition_of(emoji) for emoji in self.emoji]
        self.trained = torch.tensor([emoji.name not in source.catalogue.held_out for emoji in self.emoji])
        self._index = {emoji.name: index for index, emoji in enumerate(self.emoji)}
        x = torch.cat([source.images(part) for part in torch.arange(self.num_drawings).split(BATCH)])
        self._mirrored = [index for index, emoji in enumerate(self.emoji) if may_be_mirrored(emoji)]
        self._features = drawing_features(x)  # (N, D)
        self._mirrored_features = drawing_features(x[self._mirrored].flip(3))
        numbers: dict[bytes, int] = {}
        self._picture = torch.tensor([numbers.setdefault(each.numpy().tobytes(), len(numbers)) for each in x])  # (N,)

    def indices_of(self, names: Sequence[str]) -> list[int]:
        """The drawings of these names."""
        return [self._index[name] for name in names]

    def distances(self, x: Tensor) -> Tensor:
        """How far images are from every drawing, or from its mirror image. (B, 3, H, W) → (B, N)"""
        rows = drawing_features(x)
        distances = torch.cdist(rows, self._features, compute_mode=WITHOUT_PRODUCTS)
        turned = torch.cdist(rows, self._mirrored_features, compute_mode=WITHOUT_PRODUCTS)
        distances[:, self._mirrored] = torch.minimum(distances[:, self._mirrored], turned)
        return distances

    def ranks(self, distances: Tensor, truth: Sequence[int]) -> Tensor:
        """How many other pictures are nearer than the true one: 0 if it is the nearest. (B, N) → int64 (B,)"""
        own = distances.gather(1, torch.tensor(truth)[:, None])  # (B, 1)
        other = self._picture != self._picture[list(truth)][:, None]  # (B, N)
        return ((distances < own) & other).sum(1)

    def nearest_trained(self, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Distance and index of the nearest drawing of the training set. (B, N) → (B,), int64 (B,)"""
        nearest = distances.masked_fill(~self.trained, float("inf")).min(1)
        return nearest.values, nearest.indices

    def beside(self, x: Tensor) -> list[tuple[Image.Image, str]]:
        """For each image the nearest drawing of the training set, and in words which one and how far it is."""
        distances, indices = self.nearest_trained(self.distances(x))
        pictures = to_pil(self.source.images(indices.tolist()))
        names = [self.emoji[index].name for index in indices]
        words = [f"nearest trained: {name}, {far:.3f}" for name, far in zip(names, distances.tolist(), strict=True)]
        return list(zip(pictures, words, strict=True))

    def shown(self, distances: Tensor, truth: Sequence[int]) -> list[Shown]:
        """Compare each image with all variants of what it should show: has the nearest the right tones and gender?"""
        return [self._shown(row, index) for row, index in zip(distances, truth, strict=True)]

    def variants_of(self, index: int) -> list[int]:
        """All drawings of the same base."""
        return self.source.variants_of(index)

    def _shown(self, distances: Tensor, truth: int) -> Shown:
        variants, asked = self.variants_of(truth), self.compositions[truth]
        nearest = variants[int(distances[variants].argmin())]
        alike = self._alike(nearest, variants)
        return Shown(
            tones=any(found.tones == asked.tones for found in alike),
            gender=any(found.gender == asked.gender for found in alike),
        )

    def _alike(self, index: int, variants: Sequence[int]) -> list[Composition]:
        """The compositions of those variants that have the very same picture."""
        return [self.compositions[each] for each in variants if self._picture[each] == self._picture[index]]
