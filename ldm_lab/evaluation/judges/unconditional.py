"""Unconditional images: scenes as clean and as varied as the data, and none of them a copy."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.scene_reader import read_scenes
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.settings import GuidedSettings

TRAINING_SCENES = 32_768  # as many as the shipped models see
COPY_DISTANCE = 0.05  # root mean square in [-1, 1]: about what a first stage of 38 dB loses anyway; equal to the eye
REFERENCE_SCENES = 4096  # say how often shapes and colours occur
CHUNK = 1024

Shares = dict[str | None, float]

FIGURES = {
    "valid scenes": Figure(unit="%", at_least=0.95),
    "shapes: largest difference from the data's share": Figure(unit="%", at_most=0.05),
    "colours: largest difference from the data's share": Figure(unit="%", at_most=0.05),
    "copies of training scenes": Figure(unit="%", at_most=0.0),
    "distance of the nearest training scene, median": Figure(),
}


def judge_unconditional(pipeline: Pipeline, num_images: int, settings: GuidedSettings) -> Iterator[Trial]:
    """Samples beside test scenes, which show what the figures can be."""

    objects = [item for scene in ShapeScenes(split="train").scenes(range(REFERENCE_SCENES)) for item in scene.objects]
    wanted_shapes, wanted_colors = _shares([item.shape for item in objects]), _shares([item.color for item in objects])

    def measure(x: Tensor) -> dict[str, float]:
        readings, distances = read_scenes(x), nearest_distances(x)
        found = [item for reading in readings for item in reading.objects]
        values = (
            sum(reading.valid for reading in readings) / len(readings),
            _imbalance(_shares([item.shape for item in found]), wanted_shapes),
            _imbalance(_shares([item.color for item in found]), wanted_colors),
            (distances < COPY_DISTANCE).double().mean().item(),
            distances.median().item(),
        )
        return dict(zip(FIGURES, values, strict=True))

    yield Trial(
        title="unconditional images",
        conditions=[None] * num_images,
        measure=measure,
        figures=FIGURES,
        rivals={"drawn by rule": ShapeScenes(split="test").images(range(num_images))},
    )


def nearest_distances(x: Tensor, *, num_scenes: int = TRAINING_SCENES) -> Tensor:
    """How far each image is from the nearest training scene: root mean square over pixels. (B, 3, 64, 64) → (B,)"""
    source, rows = ShapeScenes(split="train"), x.flatten(1)  # (B, D)
    nearest = torch.full((len(x),), float("inf"))
    for start in range(0, num_scenes, CHUNK):
        others = source.images(range(start, min(start + CHUNK, num_scenes))).flatten(1)  # (N, D)
        nearest = torch.minimum(nearest, torch.cdist(rows, others).amin(1))
    return nearest / rows.shape[1] ** 0.5


def _imbalance(seen: Shares, wanted: Shares) -> float:
    """The largest difference between a word's share among objects that were read and its share in the data."""
    return max(abs(seen.get(word, 0.0) - share) for word, share in wanted.items())


def _shares(values: Sequence[str | None]) -> Shares:
    return {value: count / len(values) for value, count in Counter(values).items()}
