"""Where a run looked for each word of its prompt: the run is made again, and its attention recorded on the way."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.probes.attention import heat_maps, record_cross_attention
from ldm_lab.probes.words import Word, heat_map_of, words_of
from ldm_lab.tasks import Pipeline, TextToImageSettings


@dataclass(frozen=True, slots=True, eq=False)
class WordAttention:
    """Attention to each word, the mean over steps, heads and layers.

    Attributes:
        words: In the order of the prompt.
        maps: How much each place of the latent looks at each word, of each image. (B, words, h, w)
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
    words = tuple(words_of(pipeline.model.conditioner, settings.prompt))
    if not words:
        raise RequestError("the prompt is empty; attention is shown for each of its words")
    with record_cross_attention(pipeline.model.unet, per_step=False) as recording:
        pipeline.carry_out(settings)
    maps = heat_maps(recording.mean())
    return WordAttention(words, torch.stack([heat_map_of(word, maps) for word in words], dim=1).cpu())
