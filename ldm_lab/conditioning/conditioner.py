"""What every conditioner can do, and the dropout that classifier-free guidance needs."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.errors import ConfigError, RequestError

Prepared = dict[str, Tensor]
Encode = Callable[[Tensor], Tensor]  # images (B, 3, H, W) in [-1, 1] → scaled latents (B, C, h, w)


class Conditioner(Protocol):
    """A module that turns raw conditions ``y`` into a ``Conditioning``.

    Attributes:
        null: The raw ``y`` that means "no condition".
        has_null: Whether ``null`` is accepted; without it a model has no guidance, and no condition can be dropped.
        context_dim: Width of the tokens given to cross-attention, or None.
        vector_dim: Width of the vector added to the time embedding, or None.
        concat_channels: Channels of the map concatenated to the latent, or 0.
    """

    null: Any
    has_null: bool
    context_dim: int | None
    vector_dim: int | None
    concat_channels: int

    def attach(self, encode: Encode) -> None:
        """Take note of the first stage, which belongs to the model, for conditions that are pictures."""

    def prepare(self, y: Sequence[Any]) -> Prepared:
        """Check raw conditions and turn them into tensors on the CPU."""

    def __call__(self, prepared: Prepared) -> Conditioning:
        """Encode what ``prepare`` returned, moved to the module's device."""

    def encode(self, y: Sequence[Any]) -> Conditioning:
        """Prepare, move and encode."""

    def notes(self, y: Sequence[Any]) -> list[str]:
        """One sentence for each thing in ``y`` that the network will not see as it was meant."""


def drop_conditions(y: Sequence[Any], null: Any, probability: float, generator: torch.Generator) -> list[Any]:
    """Replace each condition by the null one with some probability, independently.

    Classifier-free diffusion guidance (Ho and Salimans 2022), algorithm 1, line 3; their p_uncond.

    Raises:
        ConfigError: If ``probability`` is not between 0 and 1.
    """
    if not 0 <= probability <= 1:
        raise ConfigError(f"the probability of dropping a condition is {probability}; it must be from 0 to 1")
    dropped = torch.rand(len(y), generator=generator) < probability
    return [null if drop else item for item, drop in zip(y, dropped.tolist(), strict=True)]


def move(prepared: Prepared, device: torch.device) -> Prepared:
    """The same tensors on ``device``."""
    return {name: tensor.to(device) for name, tensor in prepared.items()}


def checked_batch(y: Sequence[Any]) -> list[Any]:
    """A batch of raw conditions as a list.

    Raises:
        RequestError: If it is empty, or a single string, whose letters would become the batch.
    """
    if isinstance(y, str):
        raise RequestError(f"conditions come as a list, one for each image; got the string {y!r}, write [{y!r}]")
    if len(y) == 0:
        raise RequestError("conditions come as a list, one for each image; got an empty one")
    return list(y)


def checked_pictures(y: Sequence[Any], kind: type, *, name: str) -> list[Any]:
    """A batch of raw conditions that are pictures or maps: one for each image, of one type.

    Raises:
        RequestError: If one is missing or of another type; there is no null condition among pictures.
    """
    batch = checked_batch(y)
    for place, item in enumerate(batch):
        if not isinstance(item, kind):
            given = "None" if item is None else f"of type {type(item).__name__}"
            raise RequestError(
                f"condition {place} is {given}; this model needs {name} ({kind.__name__}) for every image"
            )
    return batch


def check_one_size(tensors: Sequence[Tensor], *, name: str) -> None:
    """Refuse pictures or maps whose sides differ, since they become one batch.

    Raises:
        RequestError: With two of the sizes.
    """
    sizes = list(dict.fromkeys((tensor.shape[-1], tensor.shape[-2]) for tensor in tensors))
    if len(sizes) > 1:
        first, second = (f"{width} x {height}" for width, height in sizes[:2])
        raise RequestError(f"{name} of one batch are {first} and {second} pixels; make them the same size")


def listed(names: Sequence[str], *, limit: int = 20) -> str:
    """Names to choose from, for a message; of many only the first ones."""
    rest = f" … ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
