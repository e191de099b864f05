"""Signal and noise in latents of any scale: what LDM rescales its latents for."""

import torch
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule


def latent_snr(z_0: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Signal-to-noise ratio of latents at every step: Var(z_0) abar_t / (1 - abar_t).

    LDM (Rombach et al. 2022), appendix D.1 and figure 15: without rescaling, the latents of a KL first stage have a
    large variance and this ratio is very high; the model then settles much of the picture in the first steps, and
    convolutional sampling beyond the trained size falls apart. Multiplying latents by k multiplies the ratio by k^2;
    ``scale_factor`` makes their variance 1 (appendix G), a VQ first stage has about that from the start.

    Args:
        z_0: Clean latents, of many images. (B, C, h, w)
        schedule: The forward process.

    Returns:
        In fp64 on the CPU. (T,)

    Raises:
        RequestError: If there are fewer than two numbers.
    """
    if z_0.numel() < 2:
        raise RequestError(f"z_0 holds {z_0.numel()} numbers; a variance needs at least 2")
    return z_0.var().double().cpu() * schedule.snr(torch.arange(len(schedule)))
