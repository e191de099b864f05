"""Emoji from their names: which drawing does a sample show, are skin tone and gender right, what is a copy?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from ldm_lab.core.images import to_pil
from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_composition import NAMED
from ldm_lab.evaluation.gallery import Gallery
from ldm_lab.evaluation.progress import BATCH
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.settings import GuidedSettings

NEAREST = "true drawing is the nearest of all"
AMONG_FIVE = "true drawing is among the five nearest"
TONE, GENDER, BOTH = "skin tone is right", "gender is right", "skin tone and gender are right"
COPIES = "nearest of all is a drawing of the training set"
DISTANCE = "distance to the nearest drawing of the training set, median"
ON_SHEET = 24  # names on the sheet of a trial

SHARE = Figure(unit="%")
RETRIEVAL = {NEAREST: Figure(unit="%", at_least=0.70), AMONG_FIVE: Figure(unit="%", at_least=0.90), DISTANCE: Figure()}
COMPOSITION = {TONE: SHARE, GENDER: SHARE, BOTH: Figure(unit="%", at_least=0.80)}
COPYING = {NEAREST: SHARE, AMONG_FIVE: SHARE, COPIES: SHARE, DISTANCE: Figure()}


def judge_emoji(pipeline: Pipeline, num_images: int, settings: GuidedSettings) -> Iterator[Trial]:
    """Names that training has seen, combinations of skin tone and gender that it has not, and the named compositions.

    Seen combinations stand beside those held out, as many and judged alike.
    """
    size = pipeline.model.config.image_size
    gallery = Gallery(EmojiDrawings(split="all", size=size))
    seen = _indices(gallery, EmojiDrawings(split="train", size=size))
    held_out = _indices(gallery, EmojiDrawings(split="held-out", size=size))
    combined = [index for index in held_out if _has_variants(gallery, index)]
    also_combined = [index for index in seen if _has_variants(gallery, index)][: len(combined)]
    named = [index for index in held_out if gallery.emoji[index].name in {item.name for item in NAMED}]
    judge = _Judge(gallery, pipeline.model)
    yield judge.trial("seen names", seen[:num_images], RETRIEVAL)
    if combined:
        yield judge.trial("held-out combinations", combined[:num_images], COMPOSITION | COPYING)
        yield judge.trial("seen combinations", also_combined[:num_images], COMPOSITION | COPYING)
    if named:
        yield judge.trial("compositions held out by name", named, COPYING)


@dataclass(frozen=True)
class _Judge:
    """Makes the trials of one model."""

    gallery: Gallery
    model: LatentDiffusion

    def trial(self, title: str, truth: Sequence[int], figures: dict[str, Figure]) -> Trial:
        """The names of some drawings as prompts, and every figure of what is made of them."""
        gallery = self.gallery
        names = [gallery.emoji[index].name for index in truth]
        drawn = gallery.source.images(truth)

        def measure(x: Tensor) -> dict[str, float]:
            values = measured(gallery, x, truth)
            return {name: values[name] for name in figures}

        return Trial(
            title=title,
            conditions=names,
            measure=measure,
            figures=figures,
            rivals={
                "drawn, placed anew": gallery.source.images([index + gallery.num_drawings for index in truth]),
                "through the first stage": through_first_stage(self.model, drawn),
                "of another name": drawn.roll(1, 0),
            },
            shown=to_pil(drawn[:ON_SHEET]),
            captions=names,
            beside=gallery.beside,
        )


def measured(gallery: Gallery, x: Tensor, truth: Sequence[int]) -> dict[str, float]:
    """All figures of images made of the names of some drawings. (B, 3, H, W)"""
    distances = gallery.distances(x)
    ranks, shown = gallery.ranks(distances, truth), gallery.shown(distances, truth)
    return {
        NEAREST: (ranks == 0).double().mean().item(),
        AMONG_FIVE: (ranks < 5).double().mean().item(),
        TONE: fmean(each.tones for each in shown),
        GENDER: fmean(each.gender for each in shown),
        BOTH: fmean(each.tones and each.gender for each in shown),
        COPIES: gallery.trained[distances.argmin(1)].double().mean().item(),
        DISTANCE: gallery.nearest_trained(distances)[0].median().item(),
    }


@torch.no_grad()
def through_first_stage(model: LatentDiffusion, x: Tensor) -> Tensor:
    """What is left of images once they have been latents; no sample can be better. (B, 3, H, W)"""
    parts = [model.decode(model.encode(part.to(model.device))) for part in x.split(BATCH)]
    return torch.cat(parts).cpu().clamp(-1, 1)


def _indices(gallery: Gallery, source: EmojiDrawings) -> list[int]:
    """Where the drawings of a split are among all, in their order."""
    return gallery.indices_of([emoji.name for emoji in source.emoji(range(source.num_drawings))])


def _has_variants(gallery: Gallery, index: int) -> bool:
    return len(gallery.variants_of(index)) > 1
