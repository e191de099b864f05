"""Every field of a recipe as an option, with the recipe's own values as defaults."""

import dataclasses
import typing
from typing import Annotated, Any, TypeVar

from tyro.conf import arg

from ldm_lab.cli.options import help_of

T = TypeVar("T")


def recipe_options(config: Any, *, omit: frozenset[str] = frozenset(), prefix: str = "") -> type:
    """A dataclass of documented options, nested as the config is.

    What a config is, such as the kind of its bottleneck, is no option; the fields of that kind are.

    Args:
        config: A dataclass whose fields may be made with ``ldm_lab.core.config.setting``.
        omit: Fields that are no options, with dots: ``"data.path"``.
        prefix: Where the config lies in a larger one.
    """
    hints = typing.get_type_hints(type(config))
    options: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name
        if name in omit:
            continue
        if dataclasses.is_dataclass(value):
            nested = recipe_options(value, omit=omit, prefix=f"{name}.")
            options.append((field.name, nested, dataclasses.field(default_factory=nested)))
        elif not _is_kind(hints[field.name]):
            options.append((field.name, Annotated[hints[field.name], arg(help=help_of(field))], value))
    return dataclasses.make_dataclass(type(config).__name__, options, frozen=True)


def with_options(config: T, options: Any) -> T:
    """The config with the values of options that ``recipe_options`` made from it.

    Raises:
        ConfigError: If a value is not accepted.
    """
    changes = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        changes[field.name] = with_options(getattr(config, field.name), value) if _is_nested(value) else value
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def _is_nested(value: Any) -> bool:
    return dataclasses.is_dataclass(value)


def _is_kind(hint: Any) -> bool:
    """Whether a field says which of several configs is meant: a word with one choice, or a union with configs."""
    choices = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return len(choices) == 1
    return any(dataclasses.is_dataclass(choice) for choice in choices)
