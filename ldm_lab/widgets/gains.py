"""A slider for each channel of a latent."""

from typing import Any

import ipywidgets
import traitlets

from ldm_lab.widgets.controls import LABEL_WIDTH, Control
from ldm_lab.widgets.form import WHOLE_ROW

COLUMNS = "repeat(auto-fit, minmax(min(100%, 23em), 1fr))"  # room for label, slider, number and button
LIMIT = 2.0
UNCHANGED = 1.0


class Gains(ipywidgets.GridBox):
    """The factor of each channel, with a button that sets it to zero and back."""

    value = traitlets.Tuple(help="The factors, in order.")

    def __init__(self, num_channels: int) -> None:
        self._sliders = [_slider(channel) for channel in range(num_channels)]
        rows = [ipywidgets.HBox([slider, self._zero_button(slider)]) for slider in self._sliders]
        layout = {"grid_template_columns": COLUMNS, "grid_gap": "0 16px", "grid_area": WHOLE_ROW}
        super().__init__(rows, layout=layout)
        self.value = (UNCHANGED,) * num_channels
        for slider in self._sliders:
            slider.observe(self._collect, "value")

    @traitlets.observe("value")
    def _spread(self, change: dict[str, Any]) -> None:
        for slider, factor in zip(self._sliders, change["new"], strict=True):
            slider.value = factor

    def _collect(self, _: Any) -> None:
        self.value = tuple(slider.value for slider in self._sliders)

    def _zero_button(self, slider: ipywidgets.FloatSlider) -> ipywidgets.Button:
        button = ipywidgets.Button(description="0 / 1", tooltip=f"{slider.description} to 0, or back to 1")
        button.layout.width = "4.5em"
        button.on_click(lambda _: setattr(slider, "value", 0.0 if slider.value else UNCHANGED))
        return button


def gains_control(num_channels: int) -> Control:
    """For the field ``gains``: empty where every factor is 1."""
    untouched = (UNCHANGED,) * num_channels
    return Control(
        Gains(num_channels),
        read=lambda factors: () if factors == untouched else factors,
        show=lambda factors: tuple(factors) or untouched,
    )


def _slider(channel: int) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        UNCHANGED,
        min=-LIMIT,
        max=LIMIT,
        step=0.1,
        readout_format=".1f",
        description=f"Channel {channel} ×",
        continuous_update=False,
        style={"description_width": LABEL_WIDTH},
        layout={"flex": "1 1 auto", "width": "auto", "min_width": "0"},
    )
