"""Starting a UNet with more residual blocks a level from the weights of one with fewer, or with fewer."""

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ldm_lab.core.errors import ConfigError
from ldm_lab.unet.config import UNetConfig
from ldm_lab.unet.unet import UNet

_UP_BLOCK = re.compile(r"(up_blocks\.\d+\.(?:resnets|attentions)\.)([1-9]\d*)(\..+)")  # all but the first of a level
_BLOCK = re.compile(r"(down|up)_blocks\.\d+\.(?:resnets|attentions)\.(\d+)\..+")


def deepen(state: Mapping[str, Tensor], config: UNetConfig, *, num_res_blocks: int) -> dict[str, Tensor]:
    """Add residual blocks, and attention where the level has it, that hand on what they get.

    The deeper UNet computes what the shallow one did and learns from there (Net2DeeperNet of Chen et al. 2016, for a
    network with skips). On the way down the new blocks come last. On the way up they come second: the first block of a
    level meets the skip of the last new one, which is still the feature map that it knows, and the new ones ignore
    theirs.

    Args:
        state: ``state_dict`` of a ``UNet``.
        config: What that UNet was built from.
        num_res_blocks: Residual blocks a level of the new one.

    Returns:
        The state of the new UNet.

    Raises:
        ConfigError: If that are fewer blocks than now.
    """
    extra = num_res_blocks - config.num_res_blocks
    if extra < 0:
        raise ConfigError(f"the UNet has {config.num_res_blocks} residual blocks a level, {num_res_blocks} are fewer")
    unet = UNet(replace(config, num_res_blocks=num_res_blocks))  # its fresh blocks add nothing to their skips
    for level in unet.up_blocks:
        for block in level.resnets[1 : 1 + extra]:
            _keep_first_half(block.conv_shortcut)
    return unet.state_dict() | {_moved(name, extra): tensor for name, tensor in state.items()}


def thin(state: Mapping[str, Tensor], config: UNetConfig, *, num_res_blocks: int) -> dict[str, Tensor]:
    """Leave out the residual blocks that ``deepen`` would add, so that what it added to is what is left.

    Where those have learned, the thinner UNet computes something else, and has to learn it again.

    Args:
        state: ``state_dict`` of a ``UNet``.
        config: What that UNet was built from.
        num_res_blocks: Residual blocks a level of the new one, from 1.

    Returns:
        The state of the new UNet.

    Raises:
        ConfigError: If that are more blocks than now.
    """
    surplus = config.num_res_blocks - num_res_blocks
    if surplus < 0:
        raise ConfigError(f"the UNet has {config.num_res_blocks} residual blocks a level, {num_res_blocks} are more")
    left = {name: tensor for name, tensor in state.items() if not _is_surplus(name, num_res_blocks, surplus)}
    return {_moved(name, -surplus): tensor for name, tensor in left.items()}


def _is_surplus(name: str, num_res_blocks: int, surplus: int) -> bool:
    """Whether a tensor belongs to the last blocks on the way down, or to the first after the first on the way up."""
    found = _BLOCK.fullmatch(name)
    if found is None:
        return False
    index = int(found[2])
    return index >= num_res_blocks if found[1] == "down" else 1 <= index <= surplus


def _moved(name: str, extra: int) -> str:
    """The name of a tensor once ``extra`` blocks have been put behind the first of every level on the way up."""
    found = _UP_BLOCK.fullmatch(name)
    return name if found is None else f"{found[1]}{int(found[2]) + extra}{found[3]}"


@torch.no_grad()
def _keep_first_half(shortcut: torch.nn.Conv2d) -> None:
    """Let a 1×1 convolution hand on what came from below, and nothing of the skip beside it."""
    torch.nn.init.dirac_(shortcut.weight)
    torch.nn.init.zeros_(shortcut.bias)
