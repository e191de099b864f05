"""Between modules and named tensors: what is cast on the way to the disk, and what is checked on the way back."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ldm_lab.core.errors import CheckpointError, CheckpointMismatchError

_NAMED = 3  # tensors that an error message names
_INITIALISERS = {"kaiming_uniform_", "normal_", "uniform_", "fill_", "zero_"}


class Uninitialised(TorchFunctionMode):
    """Inside this context modules are built without starting values, for ``fill`` to give them their weights.

    Memory that is never written is never occupied, as on the meta device, whose first use costs seconds of imports.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Leave out what writes starting values into parameters."""
        kwargs = kwargs or {}
        target = args[0] if args else kwargs.get("tensor")
        if func.__name__ in _INITIALISERS and isinstance(target, nn.Parameter):
            return target
        return func(*args, **kwargs)


def weights_of(module: nn.Module, *, dtype: torch.dtype) -> dict[str, Tensor]:
    """The state of a module as it goes to disk: floating-point tensors cast to ``dtype``.

    Raises:
        CheckpointError: If a value is not finite, or is not any more in ``dtype``.
    """
    state = module.state_dict()
    weights = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    bad = _non_finite(weights)
    if bad:
        lost = [name for name in bad if bool(torch.isfinite(state[name]).all())]
        reason = f"beyond the range of {dtype}; save with torch.float32" if lost else "NaN or infinite; train again"
        raise CheckpointError(f"cannot save {_listed(lost or bad)}: a value is {reason}")
    return weights


def fill(module: nn.Module, weights: Mapping[str, Tensor], *, source: str) -> None:
    """Give a module, usually one built ``Uninitialised``, its tensors.

    Args:
        module: Says which names, shapes and dtypes are expected; what is stored in 16 bits becomes its fp32.
        weights: Exactly these.
        source: What the error messages call the file.

    Raises:
        CheckpointMismatchError: If a name is missing or unknown, a shape differs, or a value is NaN or infinite.
    """
    expected = module.state_dict()
    _check_names(set(weights), set(expected), source)
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise CheckpointMismatchError(
                f"{source}: {name} has shape {tuple(tensor.shape)}, but config.json describes "
                f"{tuple(expected[name].shape)}; use the config that was saved with the weights"
            )
    cast = {name: tensor.to(expected[name].dtype) for name, tensor in weights.items()}
    bad = _non_finite(cast)
    if bad:
        raise CheckpointMismatchError(f"{source}: {_listed(bad)} holds NaN or infinity; use an earlier checkpoint")
    module.load_state_dict(cast, assign=True)


def with_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same tensors under ``prefix.name``."""
    return {f"{prefix}.{name}": tensor for name, tensor in weights.items()}


def split_prefixes(
    weights: Mapping[str, Tensor], prefixes: Iterable[str], *, source: str
) -> dict[str, dict[str, Tensor]]:
    """Sort tensors by the part of the model that they belong to; a part may be empty.

    Raises:
        CheckpointMismatchError: If a name begins with none of ``prefixes``.
    """
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    for name, tensor in weights.items():
        prefix, _, rest = name.partition(".")
        if prefix not in parts:
            raise CheckpointMismatchError(f"{source} holds {name!r:.80}, which is no part of this model")
        parts[prefix][rest] = tensor
    return parts


def _check_names(found: set[str], expected: set[str], source: str) -> None:
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if missing:
        raise CheckpointMismatchError(
            f"{source} lacks {len(missing)} of {len(expected)} tensors that config.json describes: {_listed(missing)}"
        )
    if unknown:
        raise CheckpointMismatchError(
            f"{source} holds {len(unknown)} tensors that config.json does not describe: {_listed(unknown)}"
        )


def _non_finite(weights: Mapping[str, Tensor]) -> list[str]:
    return [
        name
        for name, tensor in weights.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"{name:.80}" for name in names[:_NAMED]) + rest
