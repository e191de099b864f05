"""The paper's layout encoder: names and boxes as tokens, read by the same transformer as text."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ldm_lab.conditioning.conditioner import Prepared, checked_batch, listed
from ldm_lab.conditioning.token_transformer import TokenTransformer
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError, RequestError
from ldm_lab.core.layout import Layout, LayoutObject


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutTransformerConfig:
    """What may be named, how finely places are told apart, and the sizes of the encoder; defaults as in the paper."""

    vocabularies: tuple[tuple[str, ...], ...] = setting(
        dataclasses.MISSING, help="Words for each object, one list for each kind of word: its class, its colour …"
    )
    max_objects: int = setting(30, help="Most objects of a layout.", minimum=1, maximum=1024)
    grid: int = setting(90, help="Places told apart along each side; a corner is one token.", minimum=2, maximum=1024)
    width: int = setting(512, help="Width of a token, which is the UNet's context_dim.", minimum=1, maximum=8192)
    depth: int = setting(16, help="Number of layers.", minimum=1, maximum=256)
    num_heads: int = setting(8, help="Attention heads.", minimum=1, maximum=256)
    head_channels: int = setting(64, help="Width of each head.", minimum=1, maximum=1024)
    pooled: bool = setting(False, help="Also give the condition as one vector, added to the time embedding.")

    concat_channels: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check(self)
        if not self.vocabularies or not all(self.vocabularies):
            raise ConfigError(
                f"vocabularies is {self.vocabularies}; give at least one list of words, none of them empty"
            )
        for words in self.vocabularies:
            twice = sorted({word for word in words if words.count(word) > 1})
            if twice:
                raise ConfigError(f"the word {twice[0]!r} occurs more than once in a vocabulary; words must differ")

    @property
    def num_words(self) -> int:
        """Words of all vocabularies."""
        return sum(map(len, self.vocabularies))

    @property
    def vocab_size(self) -> int:
        """Tokens: the words, the places of the grid, and one that means "nothing"."""
        return self.num_words + self.grid**2 + 1

    @property
    def tokens_per_object(self) -> int:
        """One for each word, then the top left and the bottom right corner."""
        return len(self.vocabularies) + 2


class LayoutTransformer(TokenTransformer):
    """Layouts → context tokens (B, max_objects * tokens_per_object, width); objects that are not there are "nothing".

    LDM (Rombach et al. 2022), section 4.3.1 and table 17, with the tokens of taming's ``objects_bbox``: a name, a
    corner, a corner; a corner is a place on a grid, counted row by row. Two differences: every word and every place has
    a row of its own in the table, where the reference lets class k and place k share row k of its 8192; and the last
    two of its 92 tokens, which say where a training image was cropped, do not exist.

    The places begin as waves over the image, so that near ones are alike from the start; the reference draws every row
    by itself, and a corner means nothing before that very corner was seen.
    """

    null: Layout = ()

    def __init__(self, config: LayoutTransformerConfig) -> None:
        super().__init__(
            vocab_size=config.vocab_size,
            max_tokens=config.max_objects * config.tokens_per_object,
            width=config.width,
            depth=config.depth,
            num_heads=config.num_heads,
            head_channels=config.head_channels,
            pooled_padding=config.vocab_size - 1 if config.pooled else None,
        )
        self.config = config
        self._begin_places()

    def _begin_places(self) -> None:
        """Rows of the table for corners: sines and cosines of column and row, of spread 1 as all rows."""
        config = self.config
        with torch.no_grad():
            waves = place_waves(config.grid, config.width)
            self.token_embedding.weight[config.num_words : config.num_words + config.grid**2] = waves

    def prepare(self, y: Sequence[Layout]) -> Prepared:
        """Layouts → {"tokens": (B, N)} on the CPU.

        Raises:
            RequestError: If there are too many objects, or a name is unknown or missing.
        """
        return {"tokens": torch.tensor([self._tokens(layout) for layout in _checked_layouts(y)])}

    def notes(self, y: Sequence[Layout]) -> list[str]:
        """Say which boxes are so narrow that the grid cannot tell their sides apart."""
        found = [
            f"the box of {' '.join(item.names)} is {item.box}, narrower than the model can see "
            f"(one part in {self.config.grid - 1})"
            for layout in _checked_layouts(y)
            for item in layout
            if self._is_degenerate(item)
        ]
        return list(dict.fromkeys(found))

    def _tokens(self, layout: Layout) -> list[int]:
        config = self.config
        if len(layout) > config.max_objects:
            raise RequestError(f"the layout has {len(layout)} objects; this model reads at most {config.max_objects}")
        tokens = [token for item in layout for token in self._object_tokens(item)]
        nothing = config.vocab_size - 1
        return tokens + [nothing] * (config.max_objects * config.tokens_per_object - len(tokens))

    def _object_tokens(self, item: LayoutObject) -> Iterator[int]:
        config = self.config
        if len(item.names) != len(config.vocabularies):
            kinds = "; ".join(listed(words) for words in config.vocabularies)
            raise RequestError(
                f"an object of the layout has the names {item.names}; give {len(config.vocabularies)}, one of each of: "
                f"{kinds}"
            )
        first = 0
        for name, words in zip(item.names, config.vocabularies, strict=True):
            if name not in words:
                raise RequestError(f"an object of the layout is called {name!r}; choose one of {listed(words)}")
            yield first + words.index(name)
            first += len(words)
        for column, row in self._corners(item):
            yield first + row * config.grid + column

    def _corners(self, item: LayoutObject) -> tuple[tuple[int, int], tuple[int, int]]:
        """Column and row of the top left and the bottom right corner on the grid."""
        left, top, right, bottom = (round(side * (self.config.grid - 1)) for side in item.box)
        return (left, top), (right, bottom)

    def _is_degenerate(self, item: LayoutObject) -> bool:
        (left, top), (right, bottom) = self._corners(item)
        return left == right or top == bottom


def place_waves(grid: int, width: int) -> Tensor:
    """Embeddings of the places of a grid, row by row, half of the width for the row and half for the column.

    Positional encoding of Vaswani et al. 2017, section 3.5, in two dimensions; wavelengths fall from four times the
    side of the image to two places.

    Returns:
        (grid * grid, width), with a mean square of 1 in every row
    """
    quarter = -(-width // 4)
    wavelengths = torch.logspace(math.log10(4.0 * grid), math.log10(2.0), quarter)
    angle = 2.0 * math.pi * torch.arange(grid)[:, None] / wavelengths  # (grid, quarter)
    waves = math.sqrt(2.0) * torch.cat([angle.sin(), angle.cos()], dim=1)  # (grid, width / 2)
    rows, columns = waves.repeat_interleave(grid, dim=0), waves.repeat(grid, 1)
    return torch.cat([rows, columns], dim=1)[:, :width]


def _checked_layouts(y: Sequence[Layout]) -> list[Layout]:
    layouts = checked_batch(y)
    for layout in layouts:
        if not isinstance(layout, tuple) or not all(isinstance(item, LayoutObject) for item in layout):
            raise RequestError(
                f"a layout is {layout!r:.80}; give a tuple of LayoutObject, the empty one for no condition"
            )
    return layouts
