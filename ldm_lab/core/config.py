"""Frozen dataclasses as configuration: limits stated once, JSON in both directions, unknown keys refused.

A config is a ``@dataclass(frozen=True, kw_only=True)`` that calls ``check(self)`` in ``__post_init__``. Its fields may
be made with ``setting``, whose limits and help text serve the check, the command line, the widget form and the web
page.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from ldm_lab.core.errors import ConfigError

T = TypeVar("T")


@runtime_checkable
class JsonForm(Protocol):
    """A value that is no number, word, tuple or dataclass and has a form of its own in JSON, such as a picture."""

    def to_json(self) -> Any:
        """The value as JSON."""

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """What ``to_json`` returned, back again."""


def setting(
    default: Any,
    *,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    choices: tuple[Any, ...] | None = None,
) -> Any:
    """Make a dataclass field that carries its limits and its help text.

    Args:
        default: Default value; ``dataclasses.MISSING`` makes the field required.
        help: One sentence for the tooltip and the command line.
        minimum: Smallest accepted number (of each element, for tuples).
        maximum: Largest accepted number.
        step: Increment of a slider.
        choices: The accepted values, where they are few.
    """
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "step": step, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def check(config: Any, *, error: type[Exception] = ConfigError) -> None:
    """Compare every field of a dataclass with its annotation and its limits.

    Raises:
        ConfigError: (or ``error``) naming the field, the value and what is accepted.
    """
    hints = _hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not _matches(value, hints[field.name]):
            raise error(f"{field.name} is {value!r}; expected {_spell(hints[field.name])}")
        _check_limits(field, value, error)


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a config into JSON-ready values; tuples become lists."""
    return json.loads(json.dumps(_plain(config)))


def from_dict(cls: type[T], data: Mapping[str, Any]) -> T:
    """Build a config from JSON values, recursively; values that are already what a field holds are taken as they are.

    Raises:
        ConfigError: If a key is unknown or missing, or a value is not accepted.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{cls.__name__} needs a mapping, got {type(data).__name__}")
    hints = _hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ConfigError(f"{cls.__name__} has no field {', '.join(unknown)}; it has: {', '.join(sorted(fields))}")
    missing = [name for name, field in fields.items() if name not in data and _is_required(field)]
    if missing:
        raise ConfigError(f"{cls.__name__} needs a value for {', '.join(missing)}")
    return cls(**{name: _revive(value, hints[name]) for name, value in data.items()})


def differences(first: Any, second: Any, *, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Compare two configs (or dicts) field by field; nested fields are named with dots."""
    left, right = (item if isinstance(item, dict) else to_dict(item) for item in (first, second))
    found: dict[str, tuple[Any, Any]] = {}
    for name in left | right:
        a, b = left.get(name), right.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found |= differences(a, b, prefix=f"{prefix}{name}.")
        elif a != b:
            found[prefix + name] = (a, b)
    return found


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _matches(value: Any, hint: Any) -> bool:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if _is_union(hint):
        return any(_matches(value, option) for option in args)
    if origin is typing.Literal:
        return any(type(value) is type(option) and value == option for option in args)
    if origin is tuple:
        items = args[:1] * len(value) if isinstance(value, tuple) and args[-1] is Ellipsis else args
        return isinstance(value, tuple) and len(items) == len(value) and all(map(_matches, value, items))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _plain(value: Any) -> Any:
    """What JSON can hold of a value."""
    if isinstance(value, JsonForm):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _revive(value: Any, hint: Any) -> Any:
    """Undo what JSON does to a value: lists become tuples, mappings become the dataclass that the hint names."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(hint):
        return next((_revive(value, option) for option in args if _fits_json(value, option)), value)
    if _has_json_form(hint):
        return value if isinstance(value, hint) else hint.from_json(value)
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, typing.cast(type, hint)) else from_dict(typing.cast(type, hint), value)
    if origin is tuple and isinstance(value, list | tuple):
        item_hints = args[:1] * len(value) if args[-1] is Ellipsis else args
        return tuple(map(_revive, value, item_hints)) if len(item_hints) == len(value) else tuple(value)
    return value


def _has_json_form(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, JsonForm)


def _fits_json(value: Any, hint: Any) -> bool:
    if _has_json_form(hint):
        return value is not None
    if dataclasses.is_dataclass(hint) and not isinstance(value, typing.cast(type, hint)):
        names = {field.name for field in dataclasses.fields(hint)}
        return isinstance(value, Mapping) and set(value) <= names
    if typing.get_origin(hint) is tuple:
        return isinstance(value, list | tuple)
    return _matches(value, hint)


def _spell(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(hint):
        return " or ".join(map(_spell, args))
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple:
        return f"a tuple of {_spell(args[0])}"
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _check_limits(field: dataclasses.Field, value: Any, error: type[Exception]) -> None:
    limits = field.metadata
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, float) and not math.isfinite(item):
            raise error(f"{field.name} is {item}; it must be a finite number")
        if not isinstance(item, int | float) or isinstance(item, bool):
            continue
        low, high = limits.get("minimum"), limits.get("maximum")
        if (low is not None and item < low) or (high is not None and item > high):
            raise error(f"{field.name} is {item}; it must be {_range(low, high)}")
    choices = limits.get("choices")
    if choices is not None and value is not None and value not in choices:
        raise error(f"{field.name} is {value!r}; choose one of {', '.join(map(str, choices))}")


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {low} to {high}"
    return f"at least {low}" if high is None else f"at most {high}"
