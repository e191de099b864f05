"""The endless data set of scenes: images, captions and labels by index, each made on demand."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.captions import Caption, caption
from ldm_lab.data.scenes import Scene, Split, render, sample_scene


@dataclass(frozen=True, slots=True)
class ShapeScenes:
    """Scenes of one seed and split. Every index exists, and example i never depends on what else is asked for."""

    seed: int = 0
    split: Split = "train"
    size: int = 64

    def scenes(self, indices: Iterable[int]) -> list[Scene]:
        """Descriptions."""
        return [sample_scene(self.seed, index, split=self.split) for index in indices]

    def images(self, indices: Iterable[int]) -> Tensor:
        """Images in [-1, 1]. (B, 3, size, size)"""
        return render(self.scenes(indices), self.size)

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> list[Caption]:
        """One caption for each index; another ``variant`` phrases it anew."""
        return [caption(scene, self.caption_seed(i, variant)) for i, scene in self._numbered(indices)]

    def caption_seed(self, index: int, variant: int = 0) -> int:
        """The seed with which ``captions`` phrases an example."""
        return derive_seed(self.split, self.seed, index, variant)

    def _numbered(self, indices: Iterable[int]) -> list[tuple[int, Scene]]:
        indices = list(indices)
        return list(zip(indices, self.scenes(indices), strict=True))
