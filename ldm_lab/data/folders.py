"""A user's own folder of pictures: captions from metadata.jsonl, labels from class folders, or pictures alone."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image, ImageOps
from torch import Tensor

from ldm_lab.core.errors import CheckpointFormatError, ConfigError, DataError, ImageError, RequestError
from ldm_lab.core.images import read_image, to_tensor
from ldm_lab.core.io import parse_json
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.core.seeding import derive_seed

METADATA = "metadata.jsonl"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_BAD_SHARE = 0.05  # beyond it the folder is wrong rather than a few pictures


@dataclass(frozen=True, slots=True)
class Example:
    """One picture of a folder.

    Attributes:
        name: Path inside the folder, with forward slashes.
        label: Index of its class folder, or None.
        captions: Its captions; none without metadata.jsonl.
    """

    name: str
    label: int | None = None
    captions: tuple[str, ...] = ()


class ImageFolder:
    """Pictures of a folder by index, each resized on its short side and cropped to its middle.

    The order is that of the names, whatever the file system says. Three layouts are understood:
    ``metadata.jsonl``: one ``{"file_name": …, "text": …}`` a line, as in Hugging Face's imagefolder ("caption" serves
    as well as "text", and a list of captions gives variants); only the pictures it names belong to the data set.
    ``CLASS/picture``: one folder a class. Pictures alone: neither captions nor labels.

    Every picture is read once at the start, so that a damaged one is found before training rather than in its midst.

    Args:
        path: The folder.
        size: Height and width of the images returned.
        flip: Whether images are mirrored at random; captions and labels do not follow.
        seed: Which random mirrorings.
        strict: Whether one damaged picture is an error, rather than skipped and listed in ``skipped``.

    Attributes:
        examples: The readable pictures, in order.
        class_names: Names of the class folders, in the order of the labels; None without class folders.
        skipped: Name and reason of each damaged picture.

    Raises:
        DataError: If the folder is missing, unreadable, empty or of mixed layout, if metadata.jsonl is wrong, or if
            more than 5 % of the pictures are damaged.
    """

    def __init__(
        self, path: str | Path, *, size: int = 64, flip: bool = False, seed: int = 0, strict: bool = False
    ) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 4096:
            raise ConfigError(f"size is {size!r}; it must be an integer from 1 to 4096")
        self.path = Path(path).expanduser()
        self.size, self.flip, self.seed = size, flip, seed
        self.class_names, found = _find_examples(self.path)
        problems = _find_damage(self.path, found)
        self.skipped = {example.name: problem for example, problem in zip(found, problems, strict=True) if problem}
        self.examples = tuple(example for example in found if example.name not in self.skipped)
        _judge_damage(self.path, self.skipped, total=len(found), strict=strict)

    def __len__(self) -> int:
        """Number of readable pictures."""
        return len(self.examples)

    @property
    def has_captions(self) -> bool:
        """Whether the pictures have captions."""
        return bool(self.examples[0].captions)

    def images(self, indices: Iterable[int], *, variant: int = 0) -> Tensor:
        """Images in [-1, 1]; another ``variant`` (an epoch, say) mirrors anew. (B, 3, size, size)"""
        with ThreadPoolExecutor() as pool:
            return to_tensor(list(pool.map(lambda index: self._image(index, variant), indices)))

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
            raise DataError(f"{self.path} has no classes; put the pictures into one folder for each class")
        return [self.examples[index].label for index in indices]

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
        return None, sorted(_read_metadata(folder, frozenset(names)), key=lambda example: example.name)
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


def _read_metadata(folder: Path, names: frozenset[str]) -> Iterator[Example]:
    lines: dict[str, int] = {}
    for number, line in _numbered_lines(folder / METADATA):
        place = f"{folder / METADATA}, line {number}"
        entry = _parse_line(line, place)
        name = _file_name(entry, place, names)
        if name in lines:
            raise DataError(
                f"{place}: {name} has its captions in line {lines[name]} already; give both as a list there"
            )
        lines[name] = number
        yield Example(name, captions=_entry_captions(entry, place))
    if not lines:
        raise DataError(f"{folder / METADATA} is empty; it needs one JSON object a line for each picture")


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open(path, "rb") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _parse_line(line: bytes, place: str) -> dict[str, Any]:
    try:
        entry = parse_json(line.removeprefix(b"\xef\xbb\xbf"), source=place)  # some editors begin a file with this mark
    except CheckpointFormatError as error:
        raise DataError(str(error)) from error
    if not isinstance(entry, dict):
        raise DataError(f'{place} is {entry!r}; it must be an object such as {{"file_name": "a.png", "text": "…"}}')
    return entry


def _file_name(entry: dict[str, Any], place: str, names: frozenset[str]) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str):
        raise DataError(f"{place}: file_name is {name!r}; it must be the name of a picture")
    normal = os.path.normpath(name).replace(os.sep, "/")
    if normal not in names:
        raise DataError(f"{place}: there is no picture {name!r} in the folder; add it or remove the line")
    return normal


def _entry_captions(entry: dict[str, Any], place: str) -> tuple[str, ...]:
    value = entry.get("text", entry.get("caption"))
    captions = tuple(value) if isinstance(value, list) else (value,)
    if not captions or not all(isinstance(caption, str) for caption in captions):
        raise DataError(f"{place}: text is {value!r}; it must be a caption or a list of captions")
    for caption in captions:
        try:
            clean_prompt(caption)
        except RequestError as error:
            raise DataError(f"{place}: {error}") from error
    return captions


def _find_damage(folder: Path, examples: Sequence[Example]) -> list[str | None]:
    """For each picture why it cannot be read, or None."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda example: _damage(folder / example.name), examples))


def _damage(path: Path) -> str | None:
    try:
        read_image(path)
    except ImageError as error:
        return str(error)
    return None


def _judge_damage(folder: Path, skipped: dict[str, str], *, total: int, strict: bool) -> None:
    if not skipped or (not strict and len(skipped) <= MAX_BAD_SHARE * total):
        return
    name, reason = next(iter(skipped.items()))
    limit = "strict allows none" if strict else f"more than {MAX_BAD_SHARE:.0%}"
    raise DataError(
        f"{len(skipped)} of {total} pictures in {folder} cannot be read, {limit}; the first is {name}: {reason}"
    )
