"""Where training starts from other weights, and what a recipe says of its files once it leaves this machine."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldm_lab.conditioning import ClassLabelConfig, LayoutTransformerConfig, SemanticMapConfig
from ldm_lab.core.errors import CheckpointMismatchError, ConfigError
from ldm_lab.model import LatentDiffusion
from ldm_lab.unet.deepen import deepen, thin
from ldm_lab.unet.widen import widen_input

_READS_CONDITION = ("attn2.to_k.", "attn2.to_v.", "class_embedding.")  # weights whose width is the condition's


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


def fine_tune_from(start: LatentDiffusion, model: LatentDiffusion, *, source: str) -> list[str]:
    """Take over what two diffusion models share, where both mean the same by it.

    The UNet must be of the same sizes, save for the channels that it reads beside the latent (its first convolution is
    widened with zeros) and for blocks that it has more a level (they hand on what they get), so that it begins as the
    model that it was; for blocks that it has less, which it has to make up for; and for what reads the condition. The
    conditioner is taken over where it is of the same kind and its words or classes agree; classes do one by one.

    Args:
        start: The trained model.
        model: The model to be trained; changed in place.
        source: Name of the trained one, for messages.

    Returns:
        A sentence for everything that is not taken over.

    Raises:
        CheckpointMismatchError: If the UNets are of different sizes; nothing is copied.
    """
    notes = _take_unet(start, model, source=source)
    if start.prediction != model.prediction:
        notes.append(
            f"{source} predicts {start.prediction}, this recipe {model.prediction}: its output is learned anew"
        )
    return notes + _take_conditioner(start, model, source=source)


def _take_unet(start: LatentDiffusion, model: LatentDiffusion, *, source: str) -> list[str]:
    theirs, ours = start.config.unet, model.config.unet
    extra, deeper = ours.in_channels - theirs.in_channels, ours.num_res_blocks - theirs.num_res_blocks
    wanted = model.unet.state_dict()
    try:
        resize = thin if deeper < 0 else deepen
        found = resize(start.unet.state_dict(), theirs, num_res_blocks=ours.num_res_blocks)
        found = widen_input(found, in_channels=ours.in_channels)
    except ConfigError as error:
        raise CheckpointMismatchError(f"cannot start from {source}: {error}") from error
    fresh = _differing(found, wanted)
    odd = next(
        (name for name in sorted(fresh) if name in found and name in wanted and not _reads_condition(name)), None
    )
    if odd is not None:
        raise CheckpointMismatchError(
            f"cannot start from {source}: its {odd} has shape {tuple(found[odd].shape)}, this recipe needs "
            f"{tuple(wanted[odd].shape)}; choose the sizes that it was trained with"
        )
    model.unet.load_state_dict({name: found[name] for name in wanted if name not in fresh}, strict=False)
    notes = [f"{extra} channels of the UNet's input are new and begin at zero"] if extra else []
    notes += [f"{deeper} residual blocks of every level are new and begin as nothing"] if deeper > 0 else []
    notes += [f"{-deeper} residual blocks of every level have no place here"] if deeper < 0 else []
    return notes + _named("begins anew", fresh & wanted.keys()) + _named("has no place here", fresh - wanted.keys())


def _take_conditioner(start: LatentDiffusion, model: LatentDiffusion, *, source: str) -> list[str]:
    if model.conditioner is None or start.conditioner is None:
        return [] if start.conditioner is None else [f"the conditioner of {source} has no place here"]
    ours, theirs = model.config.conditioner, start.config.conditioner
    if isinstance(ours, ClassLabelConfig) and isinstance(theirs, ClassLabelConfig) and ours.width == theirs.width:
        return _take_classes(start.conditioner, model.conditioner)
    if type(ours) is not type(theirs) or _meaning(ours) != _meaning(theirs):
        return [f"the conditioner begins anew: that of {source} is of another kind, or knows other words"]
    found, wanted = start.conditioner.state_dict(), model.conditioner.state_dict()
    fresh = _differing(found, wanted)
    model.conditioner.load_state_dict({name: found[name] for name in wanted if name not in fresh}, strict=False)
    return _named("begins anew in the conditioner", fresh)


@torch.no_grad()
def _take_classes(start: nn.Module, target: nn.Module) -> list[str]:
    """Copy the embeddings of classes that both know by name (or number), and that of "no class"."""
    known, asked = (module.config.names or range(module.config.num_classes) for module in (start, target))
    known, asked = [*known, None], [*asked, None]
    for row, name in enumerate(asked):
        if name in known:
            target.embedding.weight[row] = start.embedding.weight[known.index(name)]
    return _named("begins anew among the classes", {str(name) for name in asked if name not in known})


def _meaning(config: Any) -> Any:
    """What the rows of a conditioner's tables stand for; a text transformer takes its tokenizer along."""
    if isinstance(config, LayoutTransformerConfig):
        return config.vocabularies, config.grid
    return config.names if isinstance(config, SemanticMapConfig) else None


def _differing(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> set[str]:
    """Names of tensors that are on one side only, or of another shape there."""
    common = found.keys() & wanted.keys()
    return (found.keys() ^ wanted.keys()) | {name for name in common if found[name].shape != wanted[name].shape}


def _reads_condition(name: str) -> bool:
    return any(part in name for part in _READS_CONDITION)


def _named(what: str, names: set[str], *, limit: int = 3) -> list[str]:
    """One sentence about some tensors; of many the first ones are named."""
    if not names:
        return []
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return [f"{what}: {', '.join(sorted(names)[:limit])}{rest}"]


def portable(recipe: Any) -> Any:
    """The recipe with the name of the data folder instead of its path, which says nothing elsewhere."""
    path = recipe.data.path
    return recipe if path is None else replace(recipe, data=replace(recipe.data, path=Path(path).resolve().name))
