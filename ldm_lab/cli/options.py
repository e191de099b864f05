"""Command-line options from the settings' own fields, so that limits and help are stated once."""

import dataclasses
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ldm_lab.core.layout import LayoutObject
from ldm_lab.tasks.latent_edits import PastedLatent
from ldm_lab.tasks.picture_input import Picture


def options_of(cls: type, **defaults: Any) -> Any:
    """A dataclass with a documented option for each field of a settings class; required ones have no name to type.

    Values are passed on as they are typed, pictures as paths; the settings class itself judges them.

    Args:
        cls: Dataclass whose fields may be made with ``ldm_lab.core.config.setting``.
        defaults: Other defaults than those of the class.
    """
    hints = typing.get_type_hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        hint = Annotated[_with_choices(_typed(hints[field.name]), field), tyro.conf.arg(help=help_of(field))]
        default = defaults.get(field.name, field.default)
        fields.append((field.name, tyro.conf.Positional[hint] if default is dataclasses.MISSING else hint, default))
    return dataclasses.make_dataclass(
        cls.__name__,
        [
            (name, hint, dataclasses.field() if default is dataclasses.MISSING else dataclasses.field(default=default))
            for name, hint, default in fields
        ],
        frozen=True,
        kw_only=True,
    )


def given(options: Any) -> dict[str, Any]:
    """The values of options, by name."""
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


def _typed(hint: Any) -> Any:
    """What a person types for a field: the path of a picture, a string for an object, and else what the field holds."""
    if isinstance(hint, types.UnionType):
        options = [_typed(option) for option in typing.get_args(hint)]
        return typing.Union[tuple(options)]  # noqa: UP007 (made at run time)
    if hint in (tuple[LayoutObject, ...], tuple[PastedLatent, ...]):
        return tuple[str, ...]
    return Path if isinstance(hint, type) and issubclass(hint, Picture) else hint


def _with_choices(hint: Any, field: dataclasses.Field) -> Any:
    """Spell a string with few accepted values as a Literal, which tyro lists and checks."""
    choices = field.metadata.get("choices")
    if choices is None:
        return hint
    is_optional = types.NoneType in typing.get_args(hint)
    return Literal[choices] | None if is_optional else Literal[choices]


def help_of(field: dataclasses.Field) -> str:
    """Help text and limits of a field."""
    text, low, high = (field.metadata.get(name) for name in ("help", "minimum", "maximum"))
    sentence = f"{text.rstrip('.')}." if text else ""
    return sentence if low is None or high is None else f"{sentence} From {low} to {high}."
