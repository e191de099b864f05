"""Class to image: does the picture show the class?"""

from collections.abc import Iterator

from torch import Tensor

from ldm_lab.data.scenes import CLASS_NAMES
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.scene_reader import Reading, read_scenes
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.settings import GuidedSettings

FIGURES = {"shows the class": Figure(unit="%", at_least=0.97), "valid scenes": Figure(unit="%")}


def judge_classes(pipeline: Pipeline, num_images: int, settings: GuidedSettings) -> Iterator[Trial]:
    """The classes of test scenes: one object at least has to be of the shape and colour asked for."""
    source = ShapeScenes(split="test")
    labels = source.labels(range(num_images))
    drawn = source.images(range(num_images))

    def measure(x: Tensor) -> dict[str, float]:
        readings = read_scenes(x)
        shown = [CLASS_NAMES[label] in _classes(reading) for label, reading in zip(labels, readings, strict=True)]
        valid = [reading.valid for reading in readings]
        return {"shows the class": sum(shown) / len(shown), "valid scenes": sum(valid) / len(valid)}

    yield Trial(
        title="class to image",
        conditions=labels,
        measure=measure,
        figures=FIGURES,
        rivals={"drawn by rule": drawn, "of another class": drawn.roll(1, 0)},
        captions=[CLASS_NAMES[label] for label in labels],
    )


def _classes(reading: Reading) -> set[str]:
    return {f"{item.color} {item.shape}" for item in reading.objects}
