"""What a network is told besides the noisy latent: one record for every kind of condition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from ldm_lab.core.errors import ShapeError

_DIMENSIONS = {"context": 3, "concat": 4, "vector": 2}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conditioning:
    """An encoded condition for a batch; LDM (Rombach et al. 2022), section 3.3, names the first two ways in.

    Attributes:
        context: Tokens for cross-attention. (B, N, D)
        concat: Maps concatenated to the noisy latent. (B, C, h, w)
        vector: A vector added to the time embedding. (B, D)
    """

    context: Tensor | None = None
    concat: Tensor | None = None
    vector: Tensor | None = None

    def __post_init__(self) -> None:
        parts = self.parts()
        if not parts:
            raise ShapeError("a Conditioning holds at least one of context, concat, vector; pass None for no condition")
        for name, tensor in parts.items():
            if tensor.ndim != _DIMENSIONS[name]:
                raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; it must have {_DIMENSIONS[name]} dimensions")
        if len({len(tensor) for tensor in parts.values()}) > 1:
            sizes = ", ".join(f"{name} {len(tensor)}" for name, tensor in parts.items())
            raise ShapeError(f"the parts of a Conditioning have different batch sizes ({sizes}); they must agree")

    def parts(self) -> dict[str, Tensor]:
        """The tensors that are there, by field name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in values.items() if tensor is not None}

    @property
    def batch_size(self) -> int:
        """Number of conditions held."""
        return len(next(iter(self.parts().values())))

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move or cast every tensor."""
        return self._map(lambda tensor: tensor.to(device=device, dtype=dtype))

    def repeat(self, copies: int) -> Self:
        """The whole batch ``copies`` times over: [copy 0 of all, copy 1 of all, …]."""
        return self._map(lambda tensor: tensor.repeat(copies, *[1] * (tensor.ndim - 1)))

    def select(self, indices: Sequence[int] | Tensor) -> Self:
        """The conditions at ``indices``, in that order; repeats are allowed."""
        return self._map(lambda tensor: tensor[torch.as_tensor(indices, device=tensor.device)])

    @staticmethod
    def cat(conditions: Sequence["Conditioning"]) -> "Conditioning":
        """Join along the batch.

        Raises:
            ShapeError: If the records hold different parts, or parts of different shapes.
        """
        parts = [condition.parts() for condition in conditions]
        shapes = [{name: tuple(tensor.shape[1:]) for name, tensor in part.items()} for part in parts]
        if not shapes or any(shape != shapes[0] for shape in shapes):
            raise ShapeError(f"cannot join conditions of different kinds; shapes without the batch are {shapes}")
        return Conditioning(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(**{name: change(tensor) for name, tensor in self.parts().items()})
