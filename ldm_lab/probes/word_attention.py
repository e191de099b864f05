"""Where a run looked for each word of its prompt: the run is made again, and its attention recorded on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.probes.attention import (
    AttentionRecording,
    AttentionStep,
    LayerGroup,
    Size,
    heat_maps,
    record_cross_attention,
)
from ldm_lab.probes.words import Word, heat_map_of, words_of
from ldm_lab.sampling import Step
from ldm_lab.tasks import Pipeline, Run, TextToImageSettings


@dataclass(frozen=True, slots=True, eq=False)
class WordAttention:
    """Attention to each word, the mean over steps, heads and layers.

    Attributes:
        words: In the order of the prompt.
        maps: How much each place of the latent looks at each word, of each image, also where the network looks at a
            coarser grid. (B, words, h, w)
    """

    words: tuple[Word, ...]
    maps: Tensor

    def at(self, row: int, column: int, *, image: int = 0) -> dict[str, float]:
        """How much one place looks at each word; a word that occurs twice counts twice.

        Raises:
            RequestError: If there is no such place or image.
        """
        count, _, height, width = self.maps.shape
        if not (0 <= row < height and 0 <= column < width and 0 <= image < count):
            raise RequestError(
                f"there is no cell ({row}, {column}) of image {image}; there are {height} rows, {width} columns and "
                f"{count} images, counted from 0"
            )
        found: dict[str, float] = {}
        for word, share in zip(self.words, self.maps[image, :, row, column].tolist(), strict=True):
            found[word.text] = found.get(word.text, 0.0) + share
        return found


def word_attention(pipeline: Pipeline, settings: TextToImageSettings) -> WordAttention:
    """Carry a run out once more, with the same seeds, and record where it looks.

    Args:
        pipeline: The model that made it.
        settings: Of the run, with nothing left open.

    Raises:
        RequestError: If the model does not tell which tokens words become, or the prompt has no words.
    """
    words = _words(pipeline, settings.prompt)
    with record_cross_attention(pipeline.model.unet, per_step=False) as recording:
        pipeline.carry_out(settings)
    factor = pipeline.model.config.autoencoder.downsampling_factor
    maps = heat_maps(recording.mean(), size=(settings.height // factor, settings.width // factor))
    return WordAttention(words, torch.stack([heat_map_of(word, maps) for word in words], dim=1).cpu())


@dataclass(frozen=True, slots=True, eq=False)
class WordWalk:
    """Attention to each word at every step of a run.

    Attributes:
        words: In the order of the prompt.
        maps: Of each layer group: how much each place looks at each word, by the position of the step in the walk.
            fp16 (B, words, h, w) on the CPU
        run: The run as it was made again.
    """

    words: tuple[Word, ...]
    maps: dict[LayerGroup, dict[int, Tensor]]
    run: Run

    def over(self, indices: Sequence[int], *, size: Size, image: int = 0, group: LayerGroup | None = None) -> Tensor:
        """The maps of some steps; NaN where none was recorded, as before the step at which a run left another one.

        Args:
            indices: Positions in the walk.
            size: (height, width) of the maps.
            image: Which one.
            group: Which layers; None: the mean over all groups.

        Returns:
            (steps, words, height, width)

        Raises:
            RequestError: If there is no such group.
        """
        if group is not None and group not in self.maps:
            raise RequestError(f"there is no layer group {group}; there are {', '.join(map(str, self.maps))}")
        groups = self.maps if group is None else {group: self.maps[group]}
        missing = torch.full((len(self.words), *size), torch.nan)
        recorded = next(iter(groups.values()))
        return torch.stack(
            [
                heat_maps({name: steps[index][image][None] for name, steps in groups.items()}, size=size)[0]
                if index in recorded
                else missing
                for index in indices
            ]
        )


def walk_words(pipeline: Pipeline, run: Run, *, on_step: Callable[[Step], None] | None = None) -> WordWalk:
    """Make a run again with the same seeds, and record at every step where it looks.

    Args:
        pipeline: The model that made it.
        run: Of text to image.
        on_step: Called with every step.

    Raises:
        RequestError: If it is a run of another task, its prompt has no words or changes on the way, or the model does
            not tell which tokens words become.
    """
    settings = run.settings
    if not isinstance(settings, TextToImageSettings) or settings.later_prompts:
        raise RequestError(
            f"attention to words is recorded for runs of text_to_image with one prompt, this one is of {settings.task}"
            + (" with prompts that follow each other" if settings.task == TextToImageSettings.task else "")
        )
    words = _words(pipeline, settings.prompt)
    with record_cross_attention(pipeline.model.unet) as recording:
        again = pipeline.carry_out(settings, branch=run.branch, on_step=_as_far_as(run, on_step))
    return WordWalk(words, _by_group(recording, words), again)


def _words(pipeline: Pipeline, prompt: str) -> tuple[Word, ...]:
    words = tuple(words_of(pipeline.model.conditioner, prompt))
    if not words:
        raise RequestError("the prompt is empty; attention is shown for each of its words")
    return words


def _as_far_as(run: Run, on_step: Callable[[Step], None] | None) -> Callable[[Step], bool]:
    """Stop where the run was stopped, if it was."""
    taken, last = count(1 if run.branch is None else run.branch.step + 1), run.outcome.stopped_after

    def go_on(step: Step) -> bool:
        if on_step is not None:
            on_step(step)
        return next(taken) != last

    return go_on


def _by_group(recording: AttentionRecording, words: tuple[Word, ...]) -> dict[LayerGroup, dict[int, Tensor]]:
    def of_words(step: AttentionStep, group: LayerGroup) -> Tensor:
        return torch.stack([heat_map_of(word, step.maps[group]) for word in words], dim=1).cpu()

    groups = recording.steps[0].maps if recording.steps else {}
    return {group: {step.index: of_words(step, group) for step in recording.steps} for group in groups}
