"""A form made from a settings class: limits, steps, help and choices are those that its fields state."""

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import ipywidgets

from ldm_lab.core.errors import RequestError
from ldm_lab.widgets.controls import Control, control_of

T = TypeVar("T")

COLUMNS = "repeat(auto-fit, minmax(min(100%, 19em), 1fr))"
WHOLE_ROW = "auto / 1 / auto / -1"  # as grid_area: ipywidgets would undo grid_column when it clears grid_area


class SettingsForm(Generic[T]):
    """Controls for the fields of settings, and the settings that they say.

    Attributes:
        widget: What is on the screen.
        controls: Of each field, by its name.
    """

    def __init__(
        self,
        settings: T,
        *,
        fields: Sequence[str],
        choices: Mapping[str, Sequence[Any]] | None = None,
        controls: Mapping[str, Control] | None = None,
    ) -> None:
        """Make the controls.

        Args:
            settings: Where the form begins; fields without a control stay as they are there.
            fields: Names of those that have one, in order.
            choices: Accepted values of fields, where the class cannot know them.
            controls: Controls of one's own, which take the place of those that are made.
        """
        hints = typing.get_type_hints(type(settings))
        known = {field.name: field for field in dataclasses.fields(settings)}
        choices, own = choices or {}, controls or {}
        self.controls: dict[str, Control] = {
            name: own.get(name) or control_of(known[name], hints[name], choices=choices.get(name)) for name in fields
        }
        self._base = settings
        self.show(settings)
        self.widget = ipywidgets.GridBox(
            [control.widget for control in self.controls.values()],
            layout={"grid_template_columns": COLUMNS, "grid_gap": "4px 16px", "width": "100%"},
        )
        for control in self.controls.values():
            if type(control.widget) is ipywidgets.Text:
                control.widget.layout.grid_area = WHOLE_ROW

    def read(self) -> T:
        """The settings that the controls say.

        Raises:
            RequestError: If a value is not accepted.
        """
        return dataclasses.replace(self._base, **{name: control.value for name, control in self.controls.items()})

    def show(self, settings: T) -> None:
        """Let the controls say these settings.

        Raises:
            RequestError: If a control cannot.
        """
        for name, control in self.controls.items():
            value = getattr(settings, name)
            try:
                control.set(value)
            except Exception as error:
                raise RequestError(f"the form cannot show {value!r:.60} as {name}: {error}") from error
        self._base = settings

    def observe(self, callback: Callable[[], Any]) -> None:
        """Call it whenever a control changes."""
        for control in self.controls.values():
            control.observe(callback)
