"""The endless data set of scenes: images and all that can be said of them by index, each made on demand."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ldm_lab.core.layout import Layout, LayoutObject
from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.captions import Caption, caption
from ldm_lab.data.scenes import CANVAS, Scene, Split, render, sample_scene, semantic_map, tight_boxes


@dataclass(frozen=True, slots=True)
class ShapeScenes:
    """Scenes of one seed and split. Every index exists, and example i never depends on what else is asked for.

    Of the captions the share ``complete_captions`` mentions everything, and others what chance keeps.
    """

    seed: int = 0
    split: Split = "train"
    size: int = 64
    complete_captions: float = 0.0

    def scenes(self, indices: Iterable[int]) -> list[Scene]:
        """Descriptions."""
        return [sample_scene(self.seed, index, split=self.split) for index in indices]

    def images(self, indices: Iterable[int]) -> Tensor:
        """Images in [-1, 1]. (B, 3, size, size)"""
        return render(self.scenes(indices), self.size)

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> list[Caption]:
        """One caption for each index; another ``variant`` phrases it anew."""
        return [self._caption(scene, self.caption_seed(i, variant)) for i, scene in self._numbered(indices)]

    def labels(self, indices: Iterable[int]) -> list[int | None]:
        """Class of the first object of each scene, an index into ``CLASS_NAMES``."""
        return [scene.class_label for scene in self.scenes(indices)]

    def layouts(self, indices: Iterable[int]) -> list[Layout]:
        """Shape, colour and tight box of every object."""
        return layouts_of(self.scenes(indices))

    def maps(self, indices: Iterable[int]) -> list[Tensor]:
        """Semantic map of each scene, int64 (size, size)."""
        return list(semantic_map(self.scenes(indices), self.size))

    def caption_seed(self, index: int, variant: int = 0) -> int:
        """The seed with which ``captions`` phrases an example."""
        return derive_seed(self.split, self.seed, index, variant)

    def _caption(self, scene: Scene, seed: int) -> Caption:
        is_complete = random.Random(derive_seed("complete", seed)).random() < self.complete_captions
        return caption(scene, seed, complete=is_complete)

    def _numbered(self, indices: Iterable[int]) -> list[tuple[int, Scene]]:
        indices = list(indices)
        return list(zip(indices, self.scenes(indices), strict=True))


def layouts_of(scenes: Sequence[Scene]) -> list[Layout]:
    """Shape, colour and tight box of every object of some scenes."""
    return [
        tuple(
            LayoutObject(item.pair, (box[0] / CANVAS, box[1] / CANVAS, box[2] / CANVAS, box[3] / CANVAS))
            for item, box in zip(scene.objects, boxes, strict=True)
        )
        for scene, boxes in zip(scenes, tight_boxes(scenes), strict=True)
    ]
