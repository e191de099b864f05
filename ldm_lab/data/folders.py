"""A user's own folder of pictures, and what metadata.jsonl or class folders say of them."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NoReturn, TypeVar

from PIL import Image, ImageOps
from torch import Tensor

from ldm_lab.core.errors import ConfigError, DataError, ImageError
from ldm_lab.core.images import read_image, to_tensor
from ldm_lab.core.layout import Layout
from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.annotations import layout_of, read_map, read_mask
from ldm_lab.data.metadata import METADATA, Example, read_metadata

S, T = TypeVar("S"), TypeVar("T")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_BAD_SHARE = 0.05  # beyond it the folder is wrong rather than a few pictures


class ImageFolder:
    """Pictures of a folder by index, each resized on its short side and cropped to its middle.

    The order is that of the names, whatever the file system says. Three layouts are understood:
    ``metadata.jsonl``: one ``{"file_name": …, "text": …}`` a line, as in Hugging Face's imagefolder ("caption" serves
    as well as "text", and a list of captions gives variants), and also ``class``, ``boxes``, ``map`` and ``mask``; only
    the pictures it names belong to the data set.
    ``CLASS/picture``: one folder a class. Pictures alone: nothing is said of them.

    Everything is read once at the start, so that what is damaged or wrong is found before training rather than in its
    midst.

    Args:
        path: The folder.
        size: Height and width of the images returned.
        flip: Whether images are mirrored at random; what is said of them does not follow.
        seed: Which random mirrorings.
        strict: Whether one damaged picture is an error, rather than skipped and listed in ``skipped``.

    Attributes:
        examples: The readable pictures, in order.
        class_names: Names of the classes, in the order of the labels; None without classes.
        num_map_classes: Number of classes in the semantic maps; None without maps.
        skipped: Name and reason of each damaged picture.

    Raises:
        DataError: If the folder is missing, unreadable, empty or of mixed layout, if metadata.jsonl or a file that it
            names is wrong, or if more than 5 % of the pictures are damaged.
    """

    def __init__(
        self, path: str | Path, *, size: int = 64, flip: bool = False, seed: int = 0, strict: bool = False
    ) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 4096:
            raise ConfigError(f"size is {size!r}; it must be an integer from 1 to 4096")
        self.path = Path(path).expanduser()
        self.size, self.flip, self.seed = size, flip, seed
        self.class_names, found = _find_examples(self.path)
        inspected = _parallel(lambda example: _inspect(self.path / example.name), found)
        self.skipped = {
            example.name: seen for example, seen in zip(found, inspected, strict=True) if isinstance(seen, str)
        }
        self.examples = tuple(example for example in found if example.name not in self.skipped)
        self._sizes = [seen for seen in inspected if not isinstance(seen, str)]
        _judge_damage(self.path, self.skipped, total=len(found), strict=strict)
        self.num_map_classes = self._count_map_classes()
        self._check_boxes_and_masks()

    def __len__(self) -> int:
        """Number of readable pictures."""
        return len(self.examples)

    @property
    def has_captions(self) -> bool:
        """Whether the pictures have captions."""
        return bool(self.examples[0].captions)

    def images(self, indices: Iterable[int], *, variant: int = 0) -> Tensor:
        """Images in [-1, 1]; another ``variant`` (an epoch, say) mirrors anew. (B, 3, size, size)"""
        return to_tensor(_parallel(lambda index: self._image(index, variant), indices))

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> list[str]:
        """One caption for each index; another ``variant`` takes the next where there are several.

        Raises:
            DataError: If the folder has no captions.
        """
        if not self.has_captions:
            raise DataError(f'{self.path} has no captions; write {METADATA} with {{"file_name": …, "text": …}} a line')
        chosen = (self.examples[index].captions for index in indices)
        return [captions[variant % len(captions)] for captions in chosen]

    def labels(self, indices: Iterable[int]) -> list[int | None]:
        """The class of each index.

        Raises:
            DataError: If the folder has no classes.
        """
        if self.class_names is None:
            raise DataError(
                f"{self.path} has no classes; put the pictures into one folder for each class, or a class into every "
                f"line of {METADATA}"
            )
        return [self.examples[index].label for index in indices]

    @property
    def has_boxes(self) -> bool:
        """Whether it is known what lies where in the pictures."""
        return self.examples[0].boxes is not None

    @property
    def has_masks(self) -> bool:
        """Whether the pictures have masks of their own."""
        return self.examples[0].mask_name is not None

    def layouts(self, indices: Iterable[int]) -> list[Layout]:
        """Boxes of each picture, as shares of the square that ``images`` returns.

        Raises:
            DataError: If the folder has no boxes.
        """
        if not self.has_boxes:
            raise DataError(
                f'{self.path} has no boxes; write "boxes": [{{"label": "cat", "box": [left, top, right, bottom]}}] '
                f"into every line of {METADATA}"
            )
        return [self._layouts[index] for index in indices]

    def maps(self, indices: Iterable[int]) -> list[Tensor]:
        """Semantic map of each picture, int64 (size, size).

        Raises:
            DataError: If the folder has no maps.
        """
        if self.num_map_classes is None:
            raise DataError(f'{self.path} has no semantic maps; write "map": "file.png" into every line of {METADATA}')
        return _parallel(self._map, indices)

    def masks(self, indices: Iterable[int]) -> list[Tensor]:
        """Mask of each picture, 1 = repaint. (1, size, size)

        Raises:
            DataError: If the folder has no masks.
        """
        if not self.has_masks:
            raise DataError(f'{self.path} has no masks; write "mask": "file.png" into every line of {METADATA}')
        return _parallel(self._mask, indices)

    @cached_property
    def _layouts(self) -> list[Layout]:
        return [layout_of(example, size) for example, size in zip(self.examples, self._sizes, strict=True)]

    def _count_map_classes(self) -> int | None:
        """Read all maps once."""
        if not self.examples or self.examples[0].map_name is None:
            return None
        return 1 + max(_parallel(lambda index: int(self._map(index).max()), range(len(self))))

    def _check_boxes_and_masks(self) -> None:
        """Read all boxes and masks once."""
        if self.examples and self.has_boxes:
            self.layouts([0])
        if self.examples and self.has_masks:
            self.masks(range(len(self)))

    def _map(self, index: int) -> Tensor:
        example = self.examples[index]
        assert example.map_name is not None, "a folder has maps for all of its pictures, or for none"
        path, sizes = self.path / example.map_name, self._sizes[index]
        return read_map(path, picture_size=sizes, size=self.size, place=example.place)

    def _mask(self, index: int) -> Tensor:
        example = self.examples[index]
        assert example.mask_name is not None, "a folder has masks for all of its pictures, or for none"
        path, sizes = self.path / example.mask_name, self._sizes[index]
        return read_mask(path, picture_size=sizes, size=self.size, place=example.place)

    def _image(self, index: int, variant: int) -> Image.Image:
        name = self.examples[index].name
        try:
            image = read_image(self.path / name)
        except ImageError as error:
            raise DataError(f"{name} was readable when {self.path} was opened, but is no longer: {error}") from error
        image = ImageOps.fit(image, (self.size, self.size), Image.Resampling.LANCZOS)
        mirrored = self.flip and derive_seed("flip", self.seed, index, variant) % 2
        return ImageOps.mirror(image) if mirrored else image


def _find_examples(folder: Path) -> tuple[tuple[str, ...] | None, list[Example]]:
    """Class names, if any, and all pictures that belong to the data set, in the order of their names."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give the folder that holds the pictures")
    names = sorted(_picture_names(folder))
    if not names:
        raise DataError(f"{folder} holds no pictures; put some there ({', '.join(SUFFIXES)})")
    if (folder / METADATA).exists():
        return read_metadata(folder, frozenset(names))
    alone = [name for name in names if "/" not in name]
    if len(alone) == len(names):
        return None, [Example(name) for name in names]
    if alone:
        raise DataError(f"{folder} holds class folders and also pictures such as {alone[0]}; move these into a class")
    classes = sorted({name.split("/")[0] for name in names})
    return tuple(classes), [Example(name, label=classes.index(name.split("/")[0])) for name in names]


def _picture_names(folder: Path) -> Iterator[str]:
    """Paths of all pictures below a folder, hidden ones left out."""
    for root, folders, files in os.walk(folder, onerror=_refuse_unreadable):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not _is_hidden(name):
                yield (Path(root) / name).relative_to(folder).as_posix()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise DataError(f"the folder {error.filename} cannot be read: {error.strerror}") from error


def _inspect(path: Path) -> tuple[int, int] | str:
    """Width and height of a picture, or why it cannot be read."""
    try:
        return read_image(path).size
    except ImageError as error:
        return str(error)


def _parallel(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Apply a function that mostly decodes pictures, which holds no lock."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(function, items))


def _judge_damage(folder: Path, skipped: dict[str, str], *, total: int, strict: bool) -> None:
    if not skipped or (not strict and len(skipped) <= MAX_BAD_SHARE * total):
        return
    name, reason = next(iter(skipped.items()))
    limit = "strict allows none" if strict else f"more than {MAX_BAD_SHARE:.0%}"
    raise DataError(
        f"{len(skipped)} of {total} pictures in {folder} cannot be read, {limit}; the first is {name}: {reason}"
    )
