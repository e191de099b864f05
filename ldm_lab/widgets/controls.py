"""One control for each field of a settings class, made from the limits and the help that the field states."""

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from ldm_lab.core.errors import ConfigError, RequestError

LABEL_WIDTH = "9.5em"
NOTHING = object()
MAX_SLIDER_PLACES = 200  # a slider with more cannot be set exactly; a box with a number can


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """A control and what lies between it and the field.

    Attributes:
        widget: What is on the screen.
        read: What the widget holds → what the field takes.
        show: The way back.
        trait: Of the widget, which holds the value.
    """

    widget: ipywidgets.Widget
    read: Callable[[Any], Any] = lambda shown: shown
    show: Callable[[Any], Any] = lambda value: value
    trait: str = "value"

    @property
    def value(self) -> Any:
        """What the field is set to.

        Raises:
            RequestError: If what was typed is not what the field takes.
        """
        return self.read(getattr(self.widget, self.trait))

    def set(self, value: Any) -> None:
        """Let the widget hold what the field is set to."""
        setattr(self.widget, self.trait, self.show(value))

    def observe(self, callback: Callable[[], Any]) -> None:
        """Call it whenever the value changes."""
        self.widget.observe(lambda _: callback(), self.trait)


def control_of(field: dataclasses.Field, hint: Any, *, choices: Sequence[Any] | None = None) -> Control:
    """The control of a field.

    Args:
        field: Made by ``core.config.setting``.
        hint: Its annotation.
        choices: The accepted values; None: those that the field states, if it does.

    Raises:
        ConfigError: If there is no control for such values.
    """
    nothing = "recommended" if choices is None else "none"  # by the model; else the model says what there is
    choices = field.metadata.get("choices") if choices is None else choices
    options = set(typing.get_args(hint)) if _is_union(hint) else {hint}
    may_be_none = types.NoneType in options
    options -= {types.NoneType}
    if choices is not None:
        return _dropdown(field, choices, nothing if may_be_none else None)
    if options == {bool}:
        return Control(ipywidgets.Checkbox(**_described(field), indent=True))
    if options == {int} or options == {float}:
        return _number(field, whole=options == {int})
    if options == {str}:
        return Control(ipywidgets.Text(**_described(field), continuous_update=False))
    (option,) = options if len(options) == 1 else (None,)
    if option == tuple[float, float]:
        return _range(field)
    if option == tuple[int, ...]:
        return _numbers(field)
    raise ConfigError(f"there is no control for {field.name}; leave it out of the form's fields, or hand one over")


def label_of(name: str) -> str:
    """What a field is called on the screen."""
    words = name.removeprefix("num_") if name.startswith("num_") else name
    return words.replace("_", " ").capitalize()


def _described(field: dataclasses.Field) -> dict[str, Any]:
    return {
        "description": label_of(field.name),
        "tooltip": field.metadata.get("help", ""),
        "style": {"description_width": LABEL_WIDTH},
        "layout": {"width": "auto"},
    }


def _dropdown(field: dataclasses.Field, choices: Sequence[Any], nothing: str | None) -> Control:
    """A list of choices, before them the word for None, if that is accepted.

    None stands there as ``NOTHING``: ipywidgets would take it for "no option is chosen", and show a blank.
    """
    first = [] if nothing is None else [(nothing, NOTHING)]
    options = [*first, *((str(choice), choice) for choice in choices)]
    return Control(
        ipywidgets.Dropdown(options=options, **_described(field)),
        read=lambda shown: None if shown is NOTHING else shown,
        show=lambda value: NOTHING if value is None else value,
    )


def _number(field: dataclasses.Field, *, whole: bool) -> Control:
    low, high, step = (field.metadata.get(name) for name in ("minimum", "maximum", "step"))
    step = step or (1 if whole else 0.01)
    limits = {"min": -1e9 if low is None else low, "max": 1e9 if high is None else high, "step": step}
    as_slider = None not in (low, high) and (high - low) / step <= MAX_SLIDER_PLACES
    if whole:
        kind = ipywidgets.IntSlider if as_slider else ipywidgets.BoundedIntText
        limits = {name: int(value) for name, value in limits.items()}
    else:
        kind = ipywidgets.FloatSlider if as_slider else ipywidgets.BoundedFloatText
    return Control(kind(**limits, **_described(field), continuous_update=False))


def _range(field: dataclasses.Field) -> Control:
    low, high, step = (field.metadata.get(name) for name in ("minimum", "maximum", "step"))
    if None in (low, high):
        raise ConfigError(f"{field.name} states no limits, so there is no control for its two numbers")
    limits = {"min": low, "max": high, "step": step or 0.01}
    widget = ipywidgets.FloatRangeSlider(**limits, **_described(field), continuous_update=False)
    return Control(widget, read=lambda shown: tuple(map(float, shown)))


def _numbers(field: dataclasses.Field) -> Control:
    """Whole numbers, typed with commas between them."""

    def read(typed: str) -> tuple[int, ...]:
        try:
            return tuple(int(word) for word in typed.replace(",", " ").split())
        except ValueError:
            raise RequestError(f"{field.name} is {typed!r:.60}; type whole numbers with commas between them") from None

    widget = ipywidgets.Text(**_described(field), continuous_update=False)
    return Control(widget, read=read, show=lambda values: ", ".join(map(str, values)))


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def offer(dropdown: ipywidgets.Dropdown, options: Sequence[tuple[str, Any]]) -> None:
    """Give a dropdown other options, of which the first is chosen.

    The browser shows nothing as chosen if the number of what is chosen stays the same, so it is made to change. None is
    no value for an option: ipywidgets takes it for "nothing is chosen".
    """
    dropdown.options = options
    dropdown.index = None
    dropdown.index = 0 if options else None
