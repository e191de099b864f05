"""What happens to a latent between encoder and decoder: fewer bits, or noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.seeding import generator

REACH = (
    4.0  # standard deviations of a latent to either side that are stored; of a normal, 6 values in 100,000 lie beyond
)
WHOLE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentStorage:
    """How a latent is kept before it is decoded.

    Raises:
        RequestError: If a value is out of range.
    """

    bits: int = setting(
        WHOLE, help="Bits of each number of a latent without codes; 16: as it is.", minimum=1, maximum=WHOLE
    )
    noise: float = setting(
        0.0, help="Noise that is added, in standard deviations of the latent.", minimum=0.0, maximum=2.0, step=0.05
    )

    def __post_init__(self) -> None:
        check(self, error=RequestError)

    def apply(self, z_raw: Tensor, *, scale_factor: float) -> Tensor:
        """Raw latents (B, C, h, w) as they come out of the storage; bit for bit the same if nothing is asked for."""
        if self == LatentStorage():
            return z_raw
        z = scale_factor * z_raw
        z = z if self.bits == WHOLE else quantize_evenly(z, bits=self.bits)
        drawn = torch.randn(z.shape, generator=generator("evaluation", "storage"))
        return (z + self.noise * drawn.to(z)) / scale_factor


def quantize_evenly(z: Tensor, *, bits: int) -> Tensor:
    """Numbers rounded to the middles of 2^bits even intervals of [-4, 4]; what lies beyond goes to the outermost."""
    num_levels = 2**bits
    width = 2 * REACH / num_levels
    places = ((z + REACH) / width).floor().clamp(0, num_levels - 1)
    return (places + 0.5) * width - REACH
