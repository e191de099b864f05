"""How much of a latent or an image is coarse and how much is fine."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.errors import ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class RadialSpectrum:
    """Power by frequency, whatever the direction.

    Attributes:
        frequency: Middle of each ring in cycles a pixel (or latent place), from 0 to at most 0.5. (R,)
        power: Mean power in the ring; noise of variance v has v in every ring. (B, C, R)
    """

    frequency: Tensor
    power: Tensor

    @property
    def decades(self) -> Tensor:
        """log10 of the power, at least -12; noise of variance 1 lies at 0. (B, C, R)"""
        return self.power.clamp(min=1e-12).log10()


def radial_power_spectrum(values: Tensor) -> RadialSpectrum:
    """The periodogram |FFT|^2 / (H W), averaged over rings of equal frequency.

    Rings are one cycle of the shorter side wide. Frequencies above 0.5 cycles a pixel, which exist on the diagonal
    alone, are left out. Generated images are known to differ from photographs in their highest rings (Durall et al.
    2020, "Watch your Up-Convolution"; Dzanic et al. 2020).

    Args:
        values: Latents or images. (B, C, H, W)

    Raises:
        ShapeError: If there are not four dimensions.
    """
    if values.ndim != 4:
        raise ShapeError(f"values have shape {tuple(values.shape)}; expected (B, C, H, W)")
    height, width = values.shape[-2:]
    shorter = min(height, width)
    power = torch.fft.fft2(values.detach().cpu().double(), norm="ortho").abs().square()  # (B, C, H, W)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    ring = (frequency * shorter).round().long()  # (H, W)
    num_rings = shorter // 2 + 1
    inside = ring < num_rings
    sums = power.new_zeros(*values.shape[:2], num_rings).index_add(-1, ring[inside], power[..., inside])
    return RadialSpectrum(torch.arange(num_rings) / shorter, sums / torch.bincount(ring[inside]))
