"""Command-line options from the settings' own fields, so that limits and help are stated once."""

import dataclasses
import types
import typing
from typing import Annotated, Any, Literal

import tyro


def options_of(cls: type, *, omit: tuple[str, ...] = (), **defaults: Any) -> Any:
    """A dataclass with a documented option for each field of a settings class.

    Values are passed on as they are typed; the settings class itself judges them.

    Args:
        cls: Dataclass whose fields may be made with ``ldm_lab.core.config.setting``.
        omit: Fields that are no options, such as a positional argument.
        defaults: Other defaults than those of the class.
    """
    hints = typing.get_type_hints(cls)
    fields = [
        (
            field.name,
            Annotated[_with_choices(hints[field.name], field), tyro.conf.arg(help=help_of(field))],
            field.default,
        )
        for field in dataclasses.fields(cls)
        if field.name not in omit
    ]
    return dataclasses.make_dataclass(
        cls.__name__, [(name, hint, defaults.get(name, default)) for name, hint, default in fields], frozen=True
    )


def given(options: Any) -> dict[str, Any]:
    """The values of options, by name."""
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


def _with_choices(hint: Any, field: dataclasses.Field) -> Any:
    """Spell a string with few accepted values as a Literal, which tyro lists and checks."""
    choices = field.metadata.get("choices")
    if choices is None:
        return hint
    is_optional = isinstance(hint, types.UnionType) and types.NoneType in typing.get_args(hint)
    return Literal[choices] | None if is_optional else Literal[choices]


def help_of(field: dataclasses.Field) -> str:
    """Help text and limits of a field."""
    text, low, high = (field.metadata.get(name) for name in ("help", "minimum", "maximum"))
    sentence = f"{text.rstrip('.')}." if text else ""
    return sentence if low is None or high is None else f"{sentence} From {low} to {high}."
