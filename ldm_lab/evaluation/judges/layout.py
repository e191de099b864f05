"""Layout to image: is each object there, what it was asked to be, and where?"""

from collections.abc import Iterator, Sequence
from itertools import permutations
from statistics import fmean

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.ops import box_iou

from ldm_lab.core.layout import Layout, LayoutObject
from ldm_lab.data.scenes import COLORS
from ldm_lab.data.shape_scenes import ShapeScenes, layouts_of
from ldm_lab.evaluation.scene_reader import read_scenes
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.settings import GuidedSettings

FIGURES = {
    "mean IoU of boxes": Figure(at_least=0.75),
    "shape right": Figure(unit="%", at_least=0.90),
    "colour right": Figure(unit="%", at_least=0.90),
    "number of objects right": Figure(unit="%"),
}
SHOWN = 8


def judge_layouts(pipeline: Pipeline, num_images: int, settings: GuidedSettings) -> Iterator[Trial]:
    """The layouts of test scenes; what is missing has no overlap and is nothing that was asked for."""
    source = ShapeScenes(split="test")
    layouts = source.layouts(range(num_images))
    drawn = source.images(range(num_images))

    def measure(x: Tensor) -> dict[str, float]:
        seen = layouts_of([reading.scene for reading in read_scenes(x)])
        pairs = [pair for found, asked in zip(seen, layouts, strict=True) for pair in matched(found, asked)]
        values = (
            fmean(overlap(found, asked) for found, asked in pairs),
            fmean(found is not None and found.names[0] == asked.names[0] for found, asked in pairs),
            fmean(found is not None and found.names[1] == asked.names[1] for found, asked in pairs),
            fmean(len(found) == len(asked) for found, asked in zip(seen, layouts, strict=True)),
        )
        return dict(zip(FIGURES, values, strict=True))

    yield Trial(
        title="layout to image",
        conditions=layouts,
        measure=measure,
        figures=FIGURES,
        rivals={"drawn by rule": drawn, "of another layout": drawn.roll(1, 0)},
        shown=[draw_layout(layout) for layout in layouts[:SHOWN]],
        captions=[", ".join(" ".join(item.names) for item in layout) for layout in layouts],
    )


def matched(seen: Layout, asked: Layout) -> list[tuple[LayoutObject | None, LayoutObject]]:
    """Each object asked for with the one that was seen for it, or None, so that boxes overlap most in sum."""
    missing = [None] * len(asked)
    assignments = permutations([*seen, *missing], len(asked))
    best = max(assignments, key=lambda chosen: sum(map(overlap, chosen, asked)))
    return list(zip(best, asked, strict=True))


def overlap(seen: LayoutObject | None, asked: LayoutObject) -> float:
    """Intersection over union of two boxes; 0 with what is missing."""
    if seen is None:
        return 0.0
    return box_iou(torch.tensor([seen.box]), torch.tensor([asked.box])).item()


def draw_layout(layout: Sequence[LayoutObject], *, size: int = 192) -> Image.Image:
    """The boxes of shapes of the built-in world, each in its colour."""
    picture = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(picture)
    for item in layout:
        shape, color = item.names
        left, top, right, bottom = (round(side * (size - 1)) for side in item.box)
        draw.rectangle((left, top, right, bottom), outline=COLORS[color], width=3)
        draw.text((left + 6, top + 4), shape, fill="black")
    return picture
