"""What a text model of emoji does without training for it, for people: holes filled, and ways between two names."""

import itertools
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from ldm_lab.core.images import to_pil, to_tensor
from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_names import Emoji
from ldm_lab.evaluation.gallery import Gallery
from ldm_lab.evaluation.sheet import captioned_sheet
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.settings import GuidedSettings

INPAINTED = 6  # drawings
FILLINGS = (0, 1, 2)  # seeds
WAYS = 4  # pairs of names
FRAMES = 7

Cell = tuple[Image.Image, str]


def emoji_sheets(pipeline: Pipeline, **settings: Any) -> dict[str, Image.Image]:
    """Sheets by file name; the drawings are the first of their kind, not chosen.

    Args:
        pipeline: A text model of emoji.
        **settings: Of ``GuidedSettings``; what is not given is as the model recommends.

    Raises:
        RequestError: If a setting is not accepted.
    """
    resolved = pipeline.resolved(GuidedSettings.of(**settings))
    asked = {name: getattr(resolved, name) for name in ("num_steps", "guidance_scale", "sampler")}
    source = EmojiDrawings(split="all", size=pipeline.model.config.image_size)
    return {
        "sheet-inpainting.png": inpainting_sheet(pipeline, source, **asked),
        "sheet-interpolation.png": interpolation_sheet(pipeline, Gallery(source), **asked),
    }


def inpainting_sheet(pipeline: Pipeline, source: EmojiDrawings, **settings: Any) -> Image.Image:
    """Drawings whose right or lower half is hidden, and what fills it under their name."""
    count = min(INPAINTED, source.num_drawings)
    names = [emoji.name for emoji in source.emoji(range(count))]
    cells: list[Cell] = []
    for number, (picture, name) in enumerate(zip(to_pil(source.images(range(count))), names, strict=True)):
        mask = _half(picture.size, is_lower=number % 2 == 1)
        run = pipeline.inpainting(picture, mask, prompt=name, seeds=FILLINGS, **settings)
        hidden = Image.composite(Image.new("RGB", picture.size, "gray"), picture, mask.convert("L"))
        cells += [(picture, name), (hidden, "hidden"), *((image, "filled") for image in run.images)]
    return _sheet(cells, columns=2 + len(FILLINGS))


def interpolation_sheet(pipeline: Pipeline, gallery: Gallery, **settings: Any) -> Image.Image:
    """From one name to another under the same noise; below each frame, the nearest drawing of the training set."""
    cells: list[Cell] = []
    for first, last in ways(gallery.emoji):
        run = pipeline.interpolation(
            prompt=first.name, other_prompt=last.name, num_frames=FRAMES, seeds=(0, 0), **settings
        )
        words = [first.name, *("",) * (FRAMES - 2), last.name]
        cells += [*zip(run.images, words, strict=True), *gallery.beside(to_tensor(run.images))]
    return _sheet(cells, columns=FRAMES)


def ways(emoji: Sequence[Emoji]) -> list[tuple[Emoji, Emoji]]:
    """The first two emoji of each group that has two."""
    by_group: dict[str, list[Emoji]] = {}
    for item in emoji:
        by_group.setdefault(item.group, []).append(item)
    pairs = ((items[0], items[1]) for items in by_group.values() if len(items) > 1)
    return list(itertools.islice(pairs, WAYS))


def _half(size: tuple[int, int], *, is_lower: bool) -> Image.Image:
    """A mask, white on the lower or the right half."""
    width, height = size
    mask = Image.new("RGB", size, "black")
    corner = (0, height // 2) if is_lower else (width // 2, 0)
    ImageDraw.Draw(mask).rectangle((*corner, width, height), fill="white")
    return mask


def _sheet(cells: Sequence[Cell], *, columns: int) -> Image.Image:
    pictures, words = zip(*cells, strict=True)
    return captioned_sheet(pictures, words, columns=columns, width=128)
