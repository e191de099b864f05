"""Semantic map to image: does the picture, read back as a map, agree with the one that was asked for?"""

from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.images import to_pil
from ldm_lab.data.scenes import COLORS, MAP_CLASS_NAMES, palette, semantic_map
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.scene_reader import read_scenes
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.settings import GuidedSettings

CELL = 64  # pixels of a scene
ROWS, COLUMNS = 2, 4  # scenes of a large map: 128 x 256 pixels, as the paper's landscapes are four times as wide
SHOWN = 8


def judge_maps(pipeline: Pipeline, num_images: int, settings: GuidedSettings) -> Iterator[Trial]:
    """Maps of test scenes, then maps of several of them side by side, larger than any in training."""
    source = ShapeScenes(split="test")
    maps, drawn = torch.stack(source.maps(range(num_images))), source.images(range(num_images))
    yield _trial("semantic map to image", maps, drawn, at_least=0.85)
    number = max(1, num_images // (ROWS * COLUMNS)) * ROWS * COLUMNS
    maps, drawn = torch.stack(source.maps(range(number))), source.images(range(number))
    yield _trial("larger than trained, 256 × 128", mosaic(maps[:, None])[:, 0], mosaic(drawn), at_least=0.75)


def _trial(title: str, maps: Tensor, drawn: Tensor, *, at_least: float) -> Trial:
    """Maps int64 (N, H, W) and the pictures that they were made from (N, 3, H, W)."""

    def measure(x: Tensor) -> dict[str, float]:
        return {"mean IoU of classes": mean_iou(read_maps(x), cells(maps[:, None])[:, 0])}

    return Trial(
        title=title,
        conditions=list(maps),
        measure=measure,
        figures={"mean IoU of classes": Figure(at_least=at_least)},
        size=(maps.shape[2], maps.shape[1]),
        rivals={"drawn by rule": drawn, "of another map": drawn.roll(1, 0)},
        shown=paint_maps(maps[:SHOWN]),
        captions=["map"] * len(maps),
    )


def read_maps(x: Tensor) -> Tensor:
    """Maps of the scenes in the cells of images, by the scene reader. (N, 3, H, W) → int64 (N · cells, 64, 64)"""
    return semantic_map([reading.scene for reading in read_scenes(cells(x))], CELL)


def mean_iou(seen: Tensor, asked: Tensor) -> float:
    """Intersection over union of each class over all pixels, averaged over classes that occur. int64 (N, H, W) twice"""
    ious = []
    for index in range(len(MAP_CLASS_NAMES)):
        union = ((seen == index) | (asked == index)).sum()
        if union:
            ious.append(((seen == index) & (asked == index)).sum() / union)
    return torch.stack(ious).mean().item()


def mosaic(x: Tensor) -> Tensor:
    """Scenes side by side, row by row. (N · 8, C, 64, 64) → (N, C, 128, 256)"""
    return x.unflatten(0, (-1, ROWS, COLUMNS)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def cells(x: Tensor) -> Tensor:
    """The inverse of ``mosaic`` for images of any number of cells. (N, C, H, W) → (N · cells, C, 64, 64)"""
    parts = x.unflatten(3, (-1, CELL)).unflatten(2, (-1, CELL))  # (N, C, rows, 64, columns, 64)
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def paint_maps(maps: Sequence[Tensor] | Tensor) -> list[Image.Image]:
    """A colour for each class, white for the background."""
    colors = torch.cat([torch.ones(1, 3), palette(tuple(COLORS.values()))[:, :, 0, 0]])  # (9, 3)
    return [picture for each in maps for picture in to_pil(colors[each].permute(2, 0, 1)[None])]
