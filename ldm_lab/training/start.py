"""Where training starts from other weights, and what a recipe says of its files once it leaves this machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ldm_lab.core.errors import CheckpointMismatchError


def copy_weights(source_module: nn.Module, target: nn.Module, *, source: str) -> None:
    """Copy all weights of a trained module into one that is to be trained further.

    Raises:
        CheckpointMismatchError: If a tensor is missing on either side or has another shape; nothing is copied.
    """
    found = {name: tuple(tensor.shape) for name, tensor in source_module.state_dict().items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in target.state_dict().items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise CheckpointMismatchError(
                f"cannot start from {source}: its {name} has shape {found.get(name)}, this recipe needs "
                f"{wanted.get(name)}; choose the sizes that it was trained with"
            )
    target.load_state_dict(source_module.state_dict())


def portable(recipe: Any) -> Any:
    """The recipe with the name of the data folder instead of its path, which says nothing elsewhere."""
    path = recipe.data.path
    return recipe if path is None else replace(recipe, data=replace(recipe.data, path=Path(path).resolve().name))
