"""What layers of a network put out, recorded while it runs: the tensors themselves, or four numbers of each."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ldm_lab.core.errors import RequestError
from ldm_lab.probes.hooks import MAX_BYTES, hooked

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True, eq=False)
class ActivationStatistics:
    """What an output is like, for each entry of its batch; NaN and infinite values are counted and left out. (B,)

    Attributes:
        mean: Mean.
        std: Standard deviation, divided by n.
        largest: Largest magnitude.
        num_nonfinite: How many values are NaN or infinite.
    """

    mean: Tensor
    std: Tensor
    largest: Tensor
    num_nonfinite: Tensor


@contextmanager
def record_activations(
    network: nn.Module, names: Sequence[str], *, max_bytes: int = MAX_BYTES
) -> Iterator[dict[str, list[Tensor]]]:
    """Keep a copy of what layers put out each time they are called inside the block.

    In a walk a layer of the UNet is called once a step. Where guidance asks for two predictions, a layer beyond the
    first look at the condition has [negative of all images, condition of all images] for its batch.

    Args:
        network: A UNet, an autoencoder or any other.
        names: Layers as ``network.named_modules()`` names them, such as ``"mid_block"``.
        max_bytes: What all copies may take.

    Yields:
        Outputs by name, in the order of the calls, on the network's device and in its number format.

    Raises:
        RequestError: If a name is unknown; during the run, if a layer puts out no tensor or ``max_bytes`` is exceeded.
    """
    room = max_bytes

    def copied(output: Tensor) -> Tensor:
        nonlocal room
        room -= output.nbytes
        if room < 0:
            raise RequestError(
                f"activations take more than max_bytes, which is {max_bytes:,}; name fewer layers, take fewer steps, "
                "or record their statistics"
            )
        return output.detach().clone()

    with _recorded(network, names, copied) as outputs:
        yield outputs


@contextmanager
def record_activation_statistics(
    network: nn.Module, names: Sequence[str]
) -> Iterator[dict[str, list[ActivationStatistics]]]:
    """As ``record_activations``, but of each output keep four numbers for each entry of the batch.

    Raises:
        RequestError: If a name is unknown; during the run, if a layer puts out no tensor.
    """
    with _recorded(network, names, _statistics) as statistics:
        yield statistics


@contextmanager
def _recorded(
    network: nn.Module, names: Sequence[str], keep: Callable[[Tensor], Kept]
) -> Iterator[dict[str, list[Kept]]]:
    layers = dict(network.named_modules())
    for name in names:
        if name not in layers:
            close = ", ".join(difflib.get_close_matches(name, layers, n=3)) or ", ".join(list(layers)[1:4])
            raise RequestError(f"the network has no layer {name!r}; it has such as {close}")
    records: dict[str, list[Kept]] = {name: [] for name in names}
    with hooked(_register(layers, records, keep)):
        yield records


def _register(
    layers: dict[str, nn.Module], records: dict[str, list[Kept]], keep: Callable[[Tensor], Kept]
) -> Iterator[RemovableHandle]:
    for name, record in records.items():

        def see(_module: nn.Module, _inputs: tuple, output: object, name: str = name, record: list = record) -> None:
            if not isinstance(output, Tensor):
                raise RequestError(f"layer {name!r} puts out a {type(output).__name__}, no tensor; name a part of it")
            record.append(keep(output))

        yield layers[name].register_forward_hook(see)


@torch.no_grad()
def _statistics(output: Tensor) -> ActivationStatistics:
    values = output.flatten(1).to(torch.promote_types(output.dtype, torch.float32))  # (B, n)
    finite = values.isfinite()
    count, values = finite.sum(1), values.where(finite, 0.0)
    mean = values.sum(1) / count
    variance = (values - mean[:, None]).where(finite, 0.0).square().sum(1) / count
    return ActivationStatistics(mean, variance.sqrt(), values.abs().amax(1), values.shape[1] - count)
