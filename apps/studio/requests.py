"""What a visitor may ask: values of a form or of a program → settings, or one sentence. No server is needed for it."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from apps.studio.models import Card
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TaskSettings, task_named
from ldm_lab.tasks.cost import check_cost

MAX_STEPS = 200
MAX_IMAGES = 4
MAX_PIXEL_STEPS = 60_000_000  # of one visitor: an image of 512 × 512 at 200 steps needs 52 million


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
    check_limits(card.resolved(settings))
    return settings


def check_limits(settings: TaskSettings) -> None:
    """Refuse what one visitor may not ask for, though the library would do it.

    Args:
        settings: Resolved.

    Raises:
        RequestError: With the number, and the limit.
    """
    if settings.num_steps > MAX_STEPS:
        raise RequestError(f"num_steps is {settings.num_steps}; this page takes at most {MAX_STEPS}")
    if len(settings.image_names) > MAX_IMAGES:
        raise RequestError(f"{len(settings.image_names)} images were asked for; this page makes at most {MAX_IMAGES}")
    check_cost(settings)
    cost = settings.width * settings.height * settings.length * len(settings.image_names)
    if cost > MAX_PIXEL_STEPS:
        raise RequestError(
            f"pixels × steps × images are {cost // 10**6} million; this page takes at most "
            f"{MAX_PIXEL_STEPS // 10**6} million at once, ask for fewer or smaller images"
        )


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
