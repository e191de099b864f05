"""The endless data set of colour emoji: about 3,600 real drawings with names, keywords and classes.

They are those of the machine's NotoColorEmoji.ttf; ``emoji_files`` says where it and the lists of names are looked for.
"""

import random
from collections.abc import Iterable
from functools import cached_property
from typing import NoReturn, get_args

from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.core.images import to_tensor
from ldm_lab.core.layout import Layout
from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.emoji_captions import caption, corpus
from ldm_lab.data.emoji_catalogue import Drawing, EmojiCatalogue, Split, open_catalogue
from ldm_lab.data.emoji_composition import composition_of
from ldm_lab.data.emoji_files import find_emoji_files
from ldm_lab.data.emoji_names import Emoji
from ldm_lab.data.emoji_placement import centred, may_be_mirrored, place, varied


class EmojiDrawings:
    """Drawings of a split. Every index exists, and example i never depends on what else is asked for.

    With n drawings, indices 0 to n - 1 are those, plain and in the middle. Index n and beyond are the same drawings
    again, each time shifted, scaled, and mirrored where that changes nothing (``may_be_mirrored``).

    Args:
        split: "train"; "held-out", which training never sees; or "all".
        size: Height and width of the images returned. The font's own drawings have about 128 px.
        seed: Chooses placements and captions.
        catalogue: What is drawn; None: the emoji that ``find_emoji_files`` finds.

    Attributes:
        num_drawings: How many there are, before any is seen twice.

    Raises:
        MissingDependencyError: If a file or Pillow's raqm is missing.
        DataError: If a file is damaged, or the split is empty.
        ConfigError: If there is no such split.
    """

    def __init__(
        self, *, split: Split = "train", size: int = 64, seed: int = 0, catalogue: EmojiCatalogue | None = None
    ) -> None:
        if split not in get_args(Split):
            raise ConfigError(f"split is {split!r}; choose one of {', '.join(get_args(Split))}")
        self.split, self.size, self.seed = split, size, seed
        self.catalogue = open_catalogue(find_emoji_files()) if catalogue is None else catalogue
        self._drawings = self.catalogue.of_split(split)
        if not self._drawings:
            raise DataError(f"no emoji is {split} among the {len(self.catalogue.drawings)} of the catalogue")
        self.num_drawings = len(self._drawings)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Unicode's subgroups, about 100, in the order of the labels; the same for every split."""
        return self.catalogue.subgroups

    def emoji(self, indices: Iterable[int]) -> list[Emoji]:
        """Name, keywords and classes of each index."""
        return [self._drawing(index).emoji for index in indices]

    def variants_of(self, index: int) -> list[int]:
        """Indices, below ``num_drawings``, of all variants of a base in this split: those of gender and skin tone."""
        return self._variants[composition_of(self._drawing(index).emoji).base]

    def images(self, indices: Iterable[int]) -> Tensor:
        """Images in [-1, 1]. (B, 3, size, size)"""
        return to_tensor([self._image(index) for index in indices])

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> list[str]:
        """One caption for each index; another ``variant`` phrases it anew."""
        return [
            caption(self._drawing(index).emoji, derive_seed(self.split, self.seed, index, variant)) for index in indices
        ]

    def corpus(self, indices: Iterable[int]) -> list[str]:
        """Sentences with every word that captions of these examples can have."""
        return corpus(list(dict.fromkeys(self.emoji(indices))))

    def labels(self, indices: Iterable[int]) -> list[int | None]:
        """Subgroup of each index, an index into ``class_names``."""
        return [self._labels[item.subgroup] for item in self.emoji(indices)]

    def layouts(self, indices: Iterable[int]) -> list[Layout]:
        """There are none.

        Raises:
            DataError: Always.
        """
        _refuse("boxes")

    def maps(self, indices: Iterable[int]) -> list[Tensor]:
        """There are none.

        Raises:
            DataError: Always.
        """
        _refuse("semantic maps")

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.class_names)}

    @cached_property
    def _variants(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, drawing in enumerate(self._drawings):
            found.setdefault(composition_of(drawing.emoji).base, []).append(index)
        return found

    def _drawing(self, index: int) -> Drawing:
        return self._drawings[index % self.num_drawings]

    def _image(self, index: int) -> Image.Image:
        drawing = self._drawing(index)
        if index < self.num_drawings:
            return place(drawing.picture, centred(drawing.picture), size=self.size)
        rng = random.Random(derive_seed("emoji placement", self.seed, index))
        placement = varied(drawing.picture, rng, may_mirror=may_be_mirrored(drawing.emoji))
        return place(drawing.picture, placement, size=self.size)


def _refuse(what: str) -> NoReturn:
    raise DataError(f"the emoji have no {what}; choose caption, class, low-resolution, masked or none as the condition")
