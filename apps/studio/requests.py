"""What a visitor may ask: values of a form or of a program → settings, or one sentence. No server is needed for it."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from PIL import Image

from apps.studio.models import Card
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import read_image
from ldm_lab.tasks import TaskSettings, task_named
from ldm_lab.tasks.cost import check_cost
from ldm_lab.tasks.kinds import CLASS, TEXT, UNCONDITIONAL, Kind

# What is made of noise and a condition alone, by the kind of the model.
TASK_OF: dict[Kind, str] = {TEXT: "text_to_image", CLASS: "class_to_image", UNCONDITIONAL: "unconditional"}

MAX_STEPS = 200
MAX_IMAGES = 4
MAX_PIXEL_STEPS = 60_000_000  # of one visitor: an image of 512 × 512 at 200 steps needs 52 million
MAX_SMALL_SIDE = 512  # attention in the middle of an f4 model sees 16,384 places there


def request(task: str, values: Mapping[str, Any], *, card: Card) -> TaskSettings:
    """Settings of a task, checked against everything that can be checked without the model.

    Args:
        task: A name of ``ldm_lab.tasks.TASKS``.
        values: Of its settings; whole numbers may come as floats, as browsers send them, and ``seeds`` as one number.
        card: Of the model that shall serve it.

    Raises:
        RequestError: If a value is not accepted, or too much is asked for.
        ImageError: If a picture cannot be read.
    """
    kind = task_named(task).settings
    settings = kind.of(**_with_whole_numbers(kind, values))
    check_limits(settings, card=card)
    return settings


def check_limits(asked: TaskSettings, *, card: Card) -> None:
    """Refuse what one visitor may not ask for of a model, though the library would do it.

    Raises:
        RequestError: With the number, and the limit.
    """
    settings = card.resolved(asked)
    if settings.num_steps > MAX_STEPS:
        raise RequestError(f"num_steps is {settings.num_steps}; this page takes at most {MAX_STEPS}")
    if len(settings.image_names) > MAX_IMAGES:
        raise RequestError(f"{len(settings.image_names)} images were asked for; this page makes at most {MAX_IMAGES}")
    check_cost(settings)
    cost = card.num_pixels(settings) * settings.length * len(settings.image_names)
    if cost > MAX_PIXEL_STEPS:
        raise RequestError(
            f"pixels × steps × images are {cost // 10**6} million; this page takes at most "
            f"{MAX_PIXEL_STEPS // 10**6} million at once, ask for fewer or smaller images"
        )


def read_small(content: bytes | None) -> Image.Image:
    """An uploaded picture that is small enough for a first stage to take as a whole.

    Raises:
        RequestError: If there is none, or it is too large.
        ImageError: If it cannot be read.
    """
    if content is None:
        raise RequestError("there is no picture; upload one as a file")
    picture = read_image(content)
    if max(picture.size) > MAX_SMALL_SIDE:
        raise RequestError(
            f"the picture has {picture.width} × {picture.height} pixels; here at most {MAX_SMALL_SIDE} a side"
        )
    return picture


def seeds_from(first: Any, count: Any) -> tuple[int, ...]:
    """As many seeds as images, one after the other; -1 draws each.

    Raises:
        RequestError: If one of them is no whole number.
    """
    first, count = whole("seed", first), whole("images", count)
    if not 1 <= count <= MAX_IMAGES:
        raise RequestError(f"images is {count}; this page makes 1 to {MAX_IMAGES}")
    return (first,) * count if first == -1 else tuple(range(first, first + count))


def whole(name: str, value: Any) -> int:
    """A whole number, which browsers may send as a float.

    Raises:
        RequestError: If it is none.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{name} is {value!r:.60}; give a whole number")
    return value


def _with_whole_numbers(kind: type[TaskSettings], values: Mapping[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    return {
        name: _as_hinted(value, hints[name]) if name in names else value
        for name, value in values.items()
        if value is not None or name == "label"
    }


def _as_hinted(value: Any, hint: Any) -> Any:
    options = typing.get_args(hint) or (hint,)
    is_whole = isinstance(value, float) and value.is_integer()
    if is_whole and int in options and float not in options:
        return int(value)
    if isinstance(value, list | tuple) and hint == tuple[int, ...]:
        return tuple(int(item) if isinstance(item, float) and item.is_integer() else item for item in value)
    return value
