"""What a layout is: named things, each with its box; one record for data sets, conditioners and front-ends."""

from dataclasses import dataclass

from ldm_lab.core.config import check
from ldm_lab.core.errors import RequestError

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LayoutObject:
    """One thing and its place.

    Attributes:
        names: One word from each vocabulary of the model, in order, such as ("star", "red").
        box: Left, top, right and bottom as shares of the image's width and height, in [0, 1].
    """

    names: tuple[str, ...]
    box: Box

    def __post_init__(self) -> None:
        check(self, error=RequestError)
        spelled = f"the box of {' '.join(self.names) or 'an object without names'} is {self.box}"
        if not all(0 <= side <= 1 for side in self.box):
            raise RequestError(f"{spelled}; left, top, right and bottom are shares of the image, each from 0 to 1")
        left, top, right, bottom = self.box
        for first, second, low, high in (("left", "right", left, right), ("top", "bottom", top, bottom)):
            if low >= high:
                raise RequestError(f"{spelled}; its {first} ({low}) must be less than its {second} ({high})")


Layout = tuple[LayoutObject, ...]  # the empty one means "no condition"
