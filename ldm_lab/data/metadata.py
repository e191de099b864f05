"""``metadata.jsonl``: what a user says of each picture, one JSON object a line, read and checked with line numbers.

Known keys are ``text`` (or ``caption``), ``class``, ``boxes``, ``map`` and ``mask``; what one line has, all must have.
Others are left to other programs. At least one key must be known, so that a misspelt one does not pass for silence.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldm_lab.core.errors import CheckpointFormatError, DataError, RequestError
from ldm_lab.core.io import parse_json
from ldm_lab.core.prompts import clean_prompt

METADATA = "metadata.jsonl"
KEYS = ("text", "class", "boxes", "map", "mask")


@dataclass(frozen=True, slots=True)
class PixelBox:
    """A named box in pixels of the picture as it is shown upright: left, top, right, bottom."""

    names: tuple[str, ...]
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Example:
    """One picture of a folder and what is said of it; None: nothing of that kind.

    Attributes:
        name: Path inside the folder, with forward slashes.
        label: Index of its class.
        captions: Its captions.
        boxes: What is where.
        map_name: Path of its semantic map inside the folder.
        mask_name: Path of its mask inside the folder.
        place: File and line that say so, for messages.
    """

    name: str
    label: int | None = None
    captions: tuple[str, ...] = ()
    boxes: tuple[PixelBox, ...] | None = None
    map_name: str | None = None
    mask_name: str | None = None
    place: str = ""


def read_metadata(folder: Path, names: frozenset[str]) -> tuple[tuple[str, ...] | None, list[Example]]:
    """Names of the classes, if there are any, and what each line says, in the order of the pictures' names.

    Args:
        folder: Where ``metadata.jsonl`` lies.
        names: Paths of all pictures inside the folder.

    Raises:
        DataError: Naming the line, if it is no valid JSON, names no picture, or says something that cannot be.
    """
    entries = _named_entries(folder, names)
    keys = {key for _, entry in entries.values() for key in KEYS if _has(entry, key)}
    if not keys:
        place, entry = next(iter(entries.values()))
        raise DataError(f"{place} says nothing that is known, only {sorted(entry)}; known are {', '.join(KEYS)}")
    classes = sorted({_class_name(entry, place) for place, entry in entries.values()}) if "class" in keys else None
    examples = [
        Example(
            name,
            label=classes.index(entry["class"]) if classes else None,
            captions=_captions(entry, place) if "text" in keys else (),
            boxes=_boxes(entry, place) if "boxes" in keys else None,
            map_name=_file_beside(folder, entry, "map", place) if "map" in keys else None,
            mask_name=_file_beside(folder, entry, "mask", place) if "mask" in keys else None,
            place=place,
        )
        for name, (place, entry) in sorted(entries.items())
    ]
    _check_words(examples)
    return (tuple(classes) if classes else None), examples


def _named_entries(folder: Path, names: frozenset[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Place and content of each line, by the picture that it is about."""
    entries: dict[str, tuple[str, dict[str, Any]]] = {}
    lines: dict[str, int] = {}
    for number, line in _numbered_lines(folder / METADATA):
        place = f"{folder / METADATA}, line {number}"
        entry = _parse_line(line, place)
        name = _file_name(entry, place, names)
        if name in lines:
            raise DataError(
                f"{place}: {name} has its captions in line {lines[name]} already; give both as a list there"
            )
        lines[name], entries[name] = number, (place, entry)
    if not entries:
        raise DataError(f"{folder / METADATA} is empty; it needs one JSON object a line for each picture")
    return entries


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


def _file_name(entry: Mapping[str, Any], place: str, names: frozenset[str]) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str):
        raise DataError(f"{place}: file_name is {name!r}; it must be the name of a picture")
    normal = _normal(name)
    if normal not in names:
        raise DataError(f"{place}: there is no picture {name!r} in the folder; add it or remove the line")
    return normal


def _normal(name: str) -> str:
    return os.path.normpath(name).replace(os.sep, "/")


def _has(entry: Mapping[str, Any], key: str) -> bool:
    return key in entry or (key == "text" and "caption" in entry)


def _captions(entry: Mapping[str, Any], place: str) -> tuple[str, ...]:
    value = entry.get("text", entry.get("caption"))
    captions = tuple(value) if isinstance(value, list) else (value,)
    if not captions or not all(isinstance(caption, str) for caption in captions):
        raise DataError(f"{place}: text is {value!r}; it must be a caption or a list of captions")
    for caption in captions:
        _checked_text(caption, place)
    return captions


def _class_name(entry: Mapping[str, Any], place: str) -> str:
    value = entry.get("class")
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{place}: class is {value!r}; it must be the name of a class, and every line needs one")
    return _checked_text(value, place)


def _checked_text(value: str, place: str) -> str:
    try:
        clean_prompt(value)
    except RequestError as error:
        raise DataError(f"{place}: {error}") from error
    return value


def _file_beside(folder: Path, entry: Mapping[str, Any], key: str, place: str) -> str:
    """Normal path of a file inside the folder."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise DataError(f"{place}: {key} is {value!r}; it must be the name of a file in the folder, in every line")
    normal = _normal(value)
    if os.path.isabs(normal) or normal.startswith("..") or not (folder / normal).is_file():
        raise DataError(f"{place}: there is no file {value!r} in the folder for its {key}; add it or remove the line")
    return normal


def _boxes(entry: Mapping[str, Any], place: str) -> tuple[PixelBox, ...]:
    value = entry.get("boxes")
    if not isinstance(value, list):
        raise DataError(f"{place}: boxes is {value!r}; it must be a list, empty where there is nothing")
    return tuple(_box(item, place) for item in value)


def _box(item: Any, place: str) -> PixelBox:
    if not isinstance(item, dict) or set(item) != {"label", "box"}:
        raise DataError(
            f'{place}: a box is {item!r}; it must be such as {{"label": "cat", "box": [left, top, right, bottom]}}'
        )
    label = item["label"]
    names = tuple(label) if isinstance(label, list) else (label,)
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise DataError(
            f"{place}: a label is {label!r}; it must be a word, or a list of words such as ['cat', 'black']"
        )
    return PixelBox(tuple(_checked_text(name, place) for name in names), _sides(item["box"], names, place))


def _sides(value: Any, names: Sequence[str], place: str) -> tuple[float, float, float, float]:
    is_numbers = isinstance(value, list) and all(
        isinstance(side, int | float) and not isinstance(side, bool) and math.isfinite(side) for side in value
    )
    if not is_numbers or len(value) != 4:
        raise DataError(f"{place}: the box of {' '.join(names)} is {value!r}; it must be [left, top, right, bottom]")
    left, top, right, bottom = value
    if left >= right or top >= bottom:
        raise DataError(
            f"{place}: the box of {' '.join(names)} is {value!r}; left must be less than right, top less than bottom"
        )
    return left, top, right, bottom


def _check_words(examples: Sequence[Example]) -> None:
    """All objects must have equally many words, since each place among them is a vocabulary of its own."""
    first: PixelBox | None = None
    for example in examples:
        for box in example.boxes or ():
            first = first or box
            if len(box.names) != len(first.names):
                raise DataError(
                    f"{example.place}: a label is {list(box.names)}, but another is {list(first.names)}; "
                    "all need the same number of words"
                )
