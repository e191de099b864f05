"""Starting a UNet that reads more channels from the weights of one that reads fewer."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ldm_lab.core.errors import ConfigError

_FIRST = "conv_in.weight"


def widen_input(state: Mapping[str, Tensor], *, in_channels: int) -> dict[str, Tensor]:
    """Widen the first convolution with zeros, behind the channels that it has.

    The widened UNet computes what the narrow one did, whatever the new channels hold, and learns from there to read
    them; so Stable Diffusion's inpainting model was made from the text model (its model card: 5 additional channels,
    zero-initialised).

    Args:
        state: ``state_dict`` of a ``UNet``.
        in_channels: Channels that the new UNet reads.

    Returns:
        The state of the new UNet; all other tensors are those given.

    Raises:
        ConfigError: If that are fewer channels than now.
    """
    weight = state[_FIRST]  # (width, channels, 3, 3)
    extra = in_channels - weight.shape[1]
    if extra < 0:
        raise ConfigError(f"the first convolution reads {weight.shape[1]} channels, it cannot be cut to {in_channels}")
    zeros = weight.new_zeros(weight.shape[0], extra, *weight.shape[2:])
    return dict(state) | {_FIRST: torch.cat([weight, zeros], dim=1)}
