"""A box in an image as the control of a form: two ranges, across and down."""

from collections.abc import Callable
from typing import Any

import ipywidgets

from ldm_lab.widgets.controls import LABEL_WIDTH
from ldm_lab.widgets.form import WHOLE_ROW

LIMITS = {"min": 0.0, "max": 1.0, "step": 0.05, "continuous_update": False}


class BoxControl:
    """Left, top, right and bottom as shares of an image; the control of a field.

    Attributes:
        widget: What is on the screen.
    """

    def __init__(self, label: str) -> None:
        wide = {"style": {"description_width": LABEL_WIDTH}, "layout": {"width": "auto", "flex": "1 1 18em"}}
        self._across = ipywidgets.FloatRangeSlider(description=f"{label} across", **LIMITS, **wide)
        self._down = ipywidgets.FloatRangeSlider(description="and down", **LIMITS, **wide)
        row = {"grid_area": WHOLE_ROW, "flex_flow": "row wrap"}
        self.widget = ipywidgets.HBox([self._across, self._down], layout=row)

    @property
    def value(self) -> tuple[float, float, float, float]:
        """The box."""
        (left, right), (top, bottom) = self._across.value, self._down.value
        return left, top, right, bottom

    def set(self, value: tuple[float, float, float, float]) -> None:
        """Show another one."""
        left, top, right, bottom = value
        self._across.value, self._down.value = (left, right), (top, bottom)

    def observe(self, callback: Callable[[], Any]) -> None:
        """Call it whenever the box changes."""
        for widget in (self._across, self._down):
            widget.observe(lambda _: callback(), "value")
