"""The control of seeds: one number, how many images, and whether the number stays."""

import secrets
from collections.abc import Callable
from typing import Any

import ipywidgets

from ldm_lab.sampling.steps import LARGEST_SEED
from ldm_lab.tasks.settings import MAX_IMAGES
from ldm_lab.widgets.controls import LABEL_WIDTH
from ldm_lab.widgets.form import WHOLE_ROW

HELP = "Image i has the seed plus i; the same seed is the same noise."


class SeedsControl:
    """Seeds that follow each other, as a control of a form.

    Attributes:
        widget: What is on the screen.
        locked: Whether ``renew`` leaves the seed alone.
    """

    def __init__(self) -> None:
        wide = {"style": {"description_width": LABEL_WIDTH}, "layout": {"width": "auto", "flex": "1 1 13em"}}
        self._seed = ipywidgets.BoundedIntText(description="Seed", tooltip=HELP, min=0, max=LARGEST_SEED, **wide)
        self._count = ipywidgets.BoundedIntText(
            description="Images", tooltip="How many are made at once.", min=1, max=MAX_IMAGES, **wide
        )
        self._lock = ipywidgets.ToggleButton(
            value=True, tooltip="Keep the seed; otherwise each run has a new one.", layout={"width": "auto"}
        )
        self._dice = _button("🎲 New", "Draw another seed now.")
        self._reuse = _button("↺ Last", "Take the seed of the last run.")
        self._reuse.disabled = True
        self._last: tuple[int, ...] = ()
        self._dice.on_click(lambda _: self.draw())
        self._reuse.on_click(lambda _: self.set(self._last))
        self._lock.observe(lambda _: self._name_lock(), "value")
        self._name_lock()
        buttons = ipywidgets.HBox([self._dice, self._reuse, self._lock], layout={"flex": "0 0 auto"})
        self.widget = ipywidgets.HBox(
            [self._seed, buttons, self._count], layout={"grid_area": WHOLE_ROW, "flex_flow": "row wrap"}
        )

    @property
    def locked(self) -> bool:
        """Whether the seed stays."""
        return self._lock.value

    @locked.setter
    def locked(self, value: bool) -> None:
        self._lock.value = value

    @property
    def value(self) -> tuple[int, ...]:
        """One seed an image."""
        return tuple(min(self._seed.value + index, LARGEST_SEED) for index in range(self._count.value))

    def set(self, seeds: tuple[int, ...]) -> None:
        """Show seeds; of those that do not follow each other, the first."""
        self._seed.value, self._count.value = seeds[0], len(seeds)

    def draw(self) -> None:
        """Take a random seed."""
        self._seed.value = secrets.randbelow(LARGEST_SEED + 1 - MAX_IMAGES)

    def renew(self) -> None:
        """Take a random seed, unless it is locked."""
        if not self.locked:
            self.draw()

    def remember(self, seeds: tuple[int, ...]) -> None:
        """Let the button offer the seeds of a run."""
        self._last, self._reuse.disabled = seeds, False

    def observe(self, callback: Callable[[], Any]) -> None:
        """Call it whenever the seeds change."""
        for widget in (self._seed, self._count):
            widget.observe(lambda _: callback(), "value")

    def _name_lock(self) -> None:
        self._lock.description = "🔒 Locked" if self.locked else "🔓 New each run"


def _button(description: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=description, tooltip=tooltip, layout={"width": "auto"})
