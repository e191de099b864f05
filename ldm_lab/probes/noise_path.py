"""How long noise is along a way between anchors, and how long the way: why straight lines make dull pictures."""

import dataclasses
import math
from dataclasses import dataclass

import torch

from ldm_lab.tasks import BlendSettings
from ldm_lab.tasks.blend import WAYS, blended_noise

NUM_PLACES = 33


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisePath:
    """A way across, from the left anchors to the right ones.

    Attributes:
        shares: Places on it, from 0 to 1.
        lengths: Of each way of blending, the root mean square of the noise at every place; noise has 1.
        distance: Length of the way that the settings name, where a piece of noise's own length counts as 1.
    """

    shares: tuple[float, ...]
    lengths: dict[str, tuple[float, ...]]
    distance: float


def measure_noise_path(
    shape: tuple[int, int, int], settings: BlendSettings, *, num_places: int = NUM_PLACES
) -> NoisePath:
    """Walk across with every way of blending.

    Args:
        shape: Of a latent. (C, h, w)
        settings: The anchors, the way, and how far down.
        num_places: Places that are looked at.
    """
    shares = tuple(index / (num_places - 1) for index in range(num_places))

    def path(way: str) -> torch.Tensor:
        places = [dataclasses.replace(settings, across=share, way=way) for share in shares]
        return torch.cat([blended_noise(shape, place) for place in places]).flatten(1)  # (P, C h w)

    walked = path(settings.way)
    pieces = (walked[1:] - walked[:-1]).norm(dim=1)
    return NoisePath(
        shares=shares,
        lengths={way: tuple(path(way).square().mean(1).sqrt().tolist()) for way in WAYS},
        distance=pieces.sum().item() / math.sqrt(walked.shape[1]),
    )
