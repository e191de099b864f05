"""Whether a text model draws what captions ask for, judged by the scene reader on captions that no training saw."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.config import to_dict
from ldm_lab.core.images import to_pil
from ldm_lab.data.captions import Asked, AskedObject, Caption
from ldm_lab.data.scenes import HELD_OUT_PAIRS, Split
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.attribute_score import Score, Verdict, score
from ldm_lab.evaluation.progress import OnProgress, counted
from ldm_lab.evaluation.report import Table
from ldm_lab.evaluation.sampling import sample_conditions
from ldm_lab.evaluation.scene_reader import Reading, read_scenes
from ldm_lab.evaluation.sheet import captioned_sheet
from ldm_lab.evaluation.tally import GOAL_KINDS, Tally, spell, tally
from ldm_lab.tasks import Pipeline, TextToImageSettings

SPLIT_TITLES: dict[Split, str] = {"test": "seen pairs", "unseen": "never-trained pairs"}


@dataclass(frozen=True, kw_only=True)
class TextModelReport:
    """How many of the attributes asked for are right.

    Attributes:
        name: Of the model.
        settings: With which images were made; image i of a split has seed i.
        columns: Tally of each split, and of the never-trained objects alone.
        controls: Between which ends a tally lies: of scenes drawn by the package instead of the model, and of images
            judged by the next image's caption.
        samples: By split, what the tallies were counted on.
    """

    name: str
    settings: TextToImageSettings
    columns: dict[str, Tally]
    controls: dict[str, Tally]
    samples: dict[Split, "Samples"] = field(repr=False)

    @property
    def title(self) -> str:
        """Headline."""
        counts = " and ".join(f"{len(made.captions)} captions of {SPLIT_TITLES[s]}" for s, made in self.samples.items())
        return f"Attributes as drawn by {self.name}: {counts}"

    def tables(self) -> list[Table]:
        """Accuracy by kind of attribute, and the ends between which it lies."""
        return [_table(self.columns), _table(self.controls, title="Controls")]

    def notes(self) -> list[str]:
        """How the images were made, and what the rows mean."""
        asked = self.settings
        return [
            f"{asked.num_steps} steps of {asked.sampler}, guidance {asked.guidance_scale:g}; image i has seed i",
            f"goal attributes: {', '.join(GOAL_KINDS)}; wholly right: no mistake, also not in place or count",
            "drawn: the scenes as the package draws them; shuffled: the model's images judged by another caption",
        ]

    def values(self) -> dict[str, Any]:
        """Everything but the images."""
        counts = {split: len(made.captions) for split, made in self.samples.items()}
        tallies = {"columns": self.columns, "controls": self.controls}
        return {"name": self.name, "settings": to_dict(self.settings), "num_captions": counts, **tallies}


@dataclass(frozen=True, eq=False)
class Samples:
    """Captions and what a model made of them. images (N, 3, H, W) in [-1, 1], on the CPU"""

    captions: tuple[Caption, ...]
    x: Tensor

    def sheet(self, count: int = 16) -> Image.Image:
        """The first images, each above its caption: not chosen."""
        return captioned_sheet(to_pil(self.x[:count]), [caption.text for caption in self.captions[:count]])


def evaluate_text_model(
    pipeline: Pipeline,
    *,
    num_captions: int = 500,
    splits: Sequence[Split] = ("test", "unseen"),
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> TextModelReport:
    """Draw held-out captions and read the images back.

    Args:
        pipeline: A text-to-image model of the built-in world.
        num_captions: Captions of each split.
        splits: Scenes whose (shape, colour) pairs were all trained, or that hold at least one never trained.
        on_progress: Called after every batch with the number of images done.
        **settings: Of ``TextToImageSettings``; what is not given is as the model recommends.

    Raises:
        RequestError: If a setting is not accepted.
    """
    pipeline.stream("", **settings)  # refuses at once what this model cannot serve
    resolved = pipeline.settings("", **settings)
    columns, controls, samples = {}, {}, {}
    for number, split in enumerate(splits):
        scenes = ShapeScenes(split=split)
        captions = tuple(scenes.captions(range(num_captions)))
        batches = sample_conditions(
            pipeline, [caption.text for caption in captions], resolved, negative=resolved.negative_prompt
        )
        x = torch.cat(list(counted(batches, on_progress, done=number * num_captions)))
        samples[split] = Samples(captions, x)
        readings, drawn = read_scenes(x), read_scenes(scenes.images(range(num_captions)))
        columns |= _columns(split, readings, captions)
        controls |= _controls(split, readings, drawn, captions)
    return TextModelReport(name=pipeline.name, settings=resolved, columns=columns, controls=controls, samples=samples)


def _columns(split: Split, readings: Sequence[Reading], captions: Sequence[Caption]) -> dict[str, Tally]:
    judged = score(readings, [caption.asked for caption in captions])
    columns = {SPLIT_TITLES[split]: tally(judged)}
    if split == "unseen":
        pairs = zip(judged.verdicts, captions, strict=True)
        alone = Score(tuple(held_out_part(verdict, caption.asked) for verdict, caption in pairs))
        columns["never-trained objects alone"] = tally(alone)
    return columns


def _controls(
    split: Split, readings: Sequence[Reading], drawn: Sequence[Reading], captions: Sequence[Caption]
) -> dict[str, Tally]:
    asked = [caption.asked for caption in captions]
    shuffled = [*asked[1:], *asked[:1]]
    title = SPLIT_TITLES[split]
    return {f"drawn, {title}": tally(score(drawn, asked)), f"shuffled, {title}": tally(score(readings, shuffled))}


def held_out_part(verdict: Verdict, asked: Asked) -> Verdict:
    """What a verdict says of never-trained objects; verdicts begin with the objects, in the caption's order."""
    items = iter(verdict)
    return tuple(
        item
        for wanted in asked.objects
        for item in islice(items, _num_named(wanted))
        if (wanted.shape, wanted.color) in HELD_OUT_PAIRS
    )


def _num_named(wanted: AskedObject) -> int:
    return sum(value is not None for value in (wanted.shape, wanted.color, wanted.size))


def _table(columns: dict[str, Tally], *, title: str = "") -> Table:
    kinds = next(iter(columns.values()))
    rows = ((kind, *(spell(column[kind]) for column in columns.values())) for kind in kinds)
    return Table(header=("right", *columns), rows=tuple(rows), title=title)
