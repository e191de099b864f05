"""Choosing the axes of a grid: which settings vary, and through which values."""

from collections.abc import Callable
from typing import Any

import ipywidgets

from ldm_lab.core.errors import RequestError
from ldm_lab.session import Axis, axis_names
from ldm_lab.session.grid import MODEL
from ldm_lab.tasks import TaskSettings

NAMES = ("Across", "Down", "Pages")


class AxisControls:
    """Up to three axes: a setting and its values, with commas between them.

    Attributes:
        widget: What is on the screen.
    """

    def __init__(self, settings: type[TaskSettings], start: tuple[tuple[str, str], ...]) -> None:
        """Begin with axes, each the name of a setting and its values as they are typed."""
        self._settings = settings
        options = [("none", ""), *((name.replace("_", " "), name) for name in [*axis_names(settings), MODEL])]
        begun = [*start, *[("", "")] * (len(NAMES) - len(start))]
        self.rows = [_row(label, options, *axis) for label, axis in zip(NAMES, begun, strict=True)]
        boxes = [ipywidgets.HBox(row, layout={"width": "100%"}) for row in self.rows]
        self.widget = ipywidgets.VBox(boxes)

    def read(self) -> list[Axis]:
        """The axes that are chosen.

        Raises:
            RequestError: If there is none, or a value is not of its kind.
        """
        chosen = [(name.value, values.value) for name, values in self.rows if name.value]
        if not chosen:
            raise RequestError("the grid has no axis; choose a setting that varies across")
        return [
            Axis.of_models(values) if name == MODEL else Axis.read(self._settings, name, values)
            for name, values in chosen
        ]

    def observe(self, callback: Callable[[], Any]) -> None:
        """Call it whenever an axis changes."""
        for row in self.rows:
            for widget in row:
                widget.observe(lambda _: callback(), "value")


def _row(label: str, options: list[tuple[str, str]], name: str, values: str) -> tuple[Any, Any]:
    chosen = ipywidgets.Dropdown(
        description=label, options=options, value=name, style={"description_width": "4.5em"}, layout={"width": "15em"}
    )
    typed = ipywidgets.Text(
        value=values,
        description="values",
        placeholder="with commas between them",
        tooltip="Of prompt, the first may be a part of it, which the others replace; of model, names or folders.",
        style={"description_width": "4em"},
        layout={"flex": "1 1 10em", "width": "auto"},
        continuous_update=False,
    )
    return chosen, typed
