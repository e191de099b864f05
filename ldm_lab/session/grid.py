"""A grid: the same settings with one or two of them varied, a cell for each pair, and a store of cells made before."""

import csv
import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ldm_lab.core.config import to_dict
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.core.io import write_atomic
from ldm_lab.tasks import Origin, RunImage, TaskSettings
from ldm_lab.tasks.picture import read_record

MAX_VALUES = 20
MAX_CELLS = 100
SENTENCES = ("prompt", "negative_prompt")
MODEL = "model"  # no setting: an axis of this name says which model makes a cell


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """A setting and the values that it takes one after the other.

    Of ``prompt``, the first value may be a part of the prompt; then this part is replaced by each of the others.

    Attributes:
        name: Of the setting; ``seed`` stands for the one seed of a cell, ``MODEL`` for what makes it.
        values: As the settings take them.
    """

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.values) <= MAX_VALUES:
            raise RequestError(f"{self.name} has {len(self.values)} values; an axis takes 1 to {MAX_VALUES}")

    @classmethod
    def read(cls, settings: type[TaskSettings], name: str, text: str) -> "Axis":
        """An axis as a person types it: values with commas between them, such as ``1, 2.5, 4``.

        Args:
            settings: Class of the settings.
            name: One of ``axis_names(settings)``.
            text: The values; one that has a comma stands in quotes.

        Raises:
            RequestError: If the setting cannot be varied, or a value is not of its kind.
        """
        if name not in axis_names(settings):
            raise RequestError(f"{name!r:.60} cannot be an axis; choose one of {', '.join(axis_names(settings))}")
        return cls(name=name, values=tuple(map(_reader(settings, name), _words_of(text))))

    @classmethod
    def of_models(cls, text: str) -> "Axis":
        """Models as a person types them: what ``lab.load`` takes, with commas between.

        Raises:
            RequestError: If there are none, or too many.
        """
        return cls(name=MODEL, values=tuple(_words_of(text)))

    def place(self, settings: TaskSettings, index: int) -> TaskSettings:
        """The settings with value ``index`` in them; a model leaves them as they are."""
        value = self.values[index]
        if self.name == MODEL:
            return settings
        if self.name == "seed":
            return dataclasses.replace(settings, seeds=(value,))
        if self.name in SENTENCES and self.values[0] in getattr(settings, self.name):
            value = getattr(settings, self.name).replace(self.values[0], value)
        return dataclasses.replace(settings, **{self.name: value})


def axis_names(settings: type[TaskSettings]) -> list[str]:
    """Settings that may be an axis: one number, word or sentence each."""
    hints = typing.get_type_hints(settings)
    fields = [field.name for field in dataclasses.fields(settings)]
    return ["seed", *(name for name in fields if _scalar(hints[name]) is not None)]


def cells_of(settings: TaskSettings, x: Axis, y: Axis | None = None) -> list[list[TaskSettings]]:
    """The settings of every cell, row by row; along a row ``x`` varies, from row to row ``y``.

    Only the first seed is kept, so that a cell is one image.

    Raises:
        RequestError: If there are too many cells, both axes are the same, or a value is not accepted.
    """
    if y is not None and y.name == x.name:
        raise RequestError(f"both axes are {x.name}; choose two settings, or leave the second axis out")
    num_cells = len(x.values) * (1 if y is None else len(y.values))
    if num_cells > MAX_CELLS:
        raise RequestError(f"the grid has {num_cells} cells; at most {MAX_CELLS} are made, take fewer values")
    one = dataclasses.replace(settings, seeds=settings.seeds[:1])
    rows = [one] if y is None else [y.place(one, index) for index in range(len(y.values))]
    return [[x.place(row, index) for index in range(len(x.values))] for row in rows]


class CellStore:
    """Images of cells in a folder, found again by what they were made of; each carries its run."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def find(self, settings: TaskSettings, origin: Origin) -> RunImage | None:
        """The image that these settings gave with this model; None if it is not there, or damaged."""
        path = self._path(settings, origin)
        try:
            return RunImage.of(*read_record(path)) if path.is_file() else None
        except LdmLabError:
            return None

    def keep(self, image: RunImage, settings: TaskSettings, origin: Origin) -> None:
        """Write an image under the settings, with nothing left open, and the model that made it.

        Raises:
            CheckpointError: If it cannot be written.
        """
        buffer = BytesIO()
        image.save(buffer, "PNG")
        write_atomic(self._path(settings, origin), buffer.getvalue())

    def _path(self, settings: TaskSettings, origin: Origin) -> Path:
        made_of = [settings.task, to_dict(settings), to_dict(origin)]
        return self.folder / f"{hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()}.png"


def _words_of(text: str) -> list[str]:
    """What stands between commas; in quotes, a word may have some."""
    (words,) = [*csv.reader([text.replace("\n", " ")], skipinitialspace=True)] or [[]]
    return [word.strip() for word in words if word.strip()]


def _scalar(hint: Any) -> type | None:
    """int, float or str, if that is what a setting holds, perhaps beside None."""
    options: Sequence[Any] = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [option for option in options if option is not types.NoneType]
    return kinds[0] if len(kinds) == 1 and kinds[0] in (int, float, str) else None


def _reader(settings: type[TaskSettings], name: str) -> typing.Callable[[str], Any]:
    kind = int if name == "seed" else _scalar(typing.get_type_hints(settings)[name])
    assert kind is not None, "axis_names lists no other settings"

    def read(word: str) -> Any:
        try:
            return kind(word)
        except ValueError:
            raise RequestError(
                f"{name} takes {'whole ' if kind is int else ''}numbers, and {word!r:.40} is none"
            ) from None

    return read
