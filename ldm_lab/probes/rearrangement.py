"""What a decoder makes of latents that no encoder gave: channels turned up, differences, cuts, tiles."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import RequestError, ShapeError

Operation = Literal["a", "b", "a - b", "a + b", "mean"]
OPERATIONS: tuple[Operation, ...] = ("a", "b", "a - b", "a + b", "mean")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rearrangement:
    """First another latent takes part, then channels are multiplied, then a part is cut out, then it is repeated.

    Raises:
        RequestError: If a value is not accepted.
    """

    operation: Operation = setting("a", help="What becomes of the latent, a, and another one, b.", choices=OPERATIONS)
    gains: tuple[float, ...] = setting(
        (), help="Factor of each channel; empty: 1.", minimum=-10.0, maximum=10.0, step=0.1
    )
    rows: tuple[float, float] = setting(
        (0.0, 1.0), help="Part that is cut out, from top to bottom.", minimum=0.0, maximum=1.0, step=0.05
    )
    columns: tuple[float, float] = setting(
        (0.0, 1.0), help="Part that is cut out, from left to right.", minimum=0.0, maximum=1.0, step=0.05
    )
    tiles: int = setting(1, help="Copies along each side.", minimum=1, maximum=4)

    def __post_init__(self) -> None:
        check(self, error=RequestError)

    def apply(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        """The rearranged latent. (C, h, w) → (C, h', w')

        Args:
            a: One latent. (C, h, w)
            b: Another one of the same shape, if the operation asks for it.

        Raises:
            ShapeError: If ``a`` is not one latent, or ``b`` of another shape.
            RequestError: If ``b`` is missing, there is not one gain a channel, or nothing is left by the cut.
        """
        if a.ndim != 3:
            raise ShapeError(f"z has shape {tuple(a.shape)}; expected one latent (C, h, w)")
        z = self._turned_up(self._combined(a, b))
        return self._cut(z).repeat(1, self.tiles, self.tiles)

    def _combined(self, a: Tensor, b: Tensor | None) -> Tensor:
        if self.operation == "a":
            return a
        if b is None:
            raise RequestError(f"the operation is {self.operation!r}, but there is no other latent; choose one, or 'a'")
        if b.shape != a.shape:
            raise ShapeError(f"the latents have shapes {tuple(a.shape)} and {tuple(b.shape)}; they must be equal")
        return {"b": b, "a - b": a - b, "a + b": a + b, "mean": 0.5 * (a + b)}[self.operation]

    def _turned_up(self, z: Tensor) -> Tensor:
        if not self.gains:
            return z
        if len(self.gains) != len(z):
            raise RequestError(f"there are {len(self.gains)} gains for {len(z)} channels; give one a channel")
        return z * z.new_tensor(self.gains)[:, None, None]

    def _cut(self, z: Tensor) -> Tensor:
        top, bottom = (round(share * z.shape[1]) for share in self.rows)
        left, right = (round(share * z.shape[2]) for share in self.columns)
        if bottom <= top or right <= left:
            raise RequestError(f"rows {self.rows} and columns {self.columns} leave no cell; cut out a larger part")
        return z[:, top:bottom, left:right]
