"""What a task is judged by: conditions that no training saw, and figures of the images made from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image
from torch import Tensor

Measure = Callable[[Tensor], dict[str, float]]  # images (N, 3, H, W) in [-1, 1] → each figure by its name


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """How a figure is spelled, and the bar that a model has to reach.

    Attributes:
        unit: ``%``: the value is a share from 0 to 1; otherwise written behind it.
        at_least: Smallest value that is good enough; None: there is no such bar.
        at_most: Largest value that is good enough.
    """

    unit: Literal["", "%", "dB"] = ""
    at_least: float | None = None
    at_most: float | None = None

    def spell(self, value: float) -> str:
        """The value in its unit."""
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        return f"{value:.2f} dB" if self.unit == "dB" else f"{value:.3f}"

    @property
    def bar(self) -> str:
        """The bar in words, a dash if there is none."""
        if self.at_least is not None:
            return f"≥ {self.spell(self.at_least)}"
        return "–" if self.at_most is None else f"≤ {self.spell(self.at_most)}"

    def is_met(self, value: float) -> bool:
        """Whether the value reaches the bar; NaN reaches none."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One set of images that a model has to make.

    Attributes:
        title: What is tried.
        conditions: One for each image; None for each image of an unconditional model.
        measure: Figures of the images, in the conditions' order.
        figures: How they are spelled, and their bars.
        size: Width and height of the images; None: as the model was trained.
        finish: What happens to images before they are measured; None: nothing.
        rivals: Other images for the same conditions, measured beside, by the words of their column.
        shown: A picture of each of the first conditions, for the sheet; none where a condition has no picture.
        captions: Words for them.
        beside: A picture, with its words, that belongs beside each image that was made; None: none does.
    """

    title: str
    conditions: Sequence[Any]
    measure: Measure
    figures: Mapping[str, Figure]
    size: tuple[int, int] | None = None
    finish: Callable[[Tensor], Tensor] | None = None
    rivals: Mapping[str, Tensor] = field(default_factory=dict)
    shown: Sequence[Image.Image] = ()
    captions: Sequence[str] = ()
    beside: Callable[[Tensor], Sequence[tuple[Image.Image, str]]] | None = None
