"""Signal and noise in latents of any scale: what LDM rescales its latents for."""

import math

import numpy as np
import torch
from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule
from ldm_lab.diffusion.prediction import clean_and_noise, from_clean_and_noise
from ldm_lab.sampling.guidance import Denoise, Denoiser, DenoiserAround


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


class Rescaled(DenoiserAround):
    """A denoiser of latents that are ``scale`` times those of its model, under the same schedule.

    Its walk is the one that the model would take had it been trained on such latents; the signal-to-noise ratio of
    every step is scale^2 times as high, which is what LDM's figure 15 compares. With a and b for sqrt(abar_t) and
    sqrt(1 - abar_t), and k for the scale,

        z_t = a (k z_0) + b noise = c (a' z_0 + b' noise),        c^2 = k^2 a^2 + b^2,  a' = k a / c,  b' = b / c

    so that z_t / c is a noisy latent as the model knows them, of the step t' whose ratio is k^2 times that of t.
    Between whole steps the logarithm of the ratio is taken as straight; beyond the first and the last, they stand in.
    """

    def __init__(self, model: Denoiser, *, scale: float) -> None:
        """Put the scale around a model.

        Args:
            model: Any denoiser that takes fractional steps.
            scale: Factor on the clean latents; 1 is the model itself, up to rounding.

        Raises:
            RequestError: If the scale is not a finite number above 0.
        """
        if not 0.0 < scale < math.inf:
            raise RequestError(f"scale is {scale}; it must be a finite number above 0")
        super().__init__(model)
        self._scale = scale

    def bind(self, cond: Conditioning | None, timesteps: Tensor, *, copies: int = 1) -> Denoise:
        """Bind the model at the steps whose signal-to-noise ratios are those of the scaled latents."""
        log_snr, shifted = self._log_snr(timesteps)
        denoise = self._model.bind(cond, shifted, copies=copies)
        rates = [_rates(value) for value in log_snr.tolist()]

        def denoise_scaled(z_t: Tensor, index: int) -> Tensor:
            signal_rate, noise_rate = rates[index]
            spread = math.hypot(self._scale * signal_rate, noise_rate)
            z_model = z_t / spread
            output, seen = denoise(z_model, index), z_model.repeat(copies, 1, 1, 1)  # (copies B, C, h, w)
            model_rates = self._scale * signal_rate / spread, noise_rate / spread
            z_0, eps = clean_and_noise(output, seen, *model_rates, source=self.prediction)
            return from_clean_and_noise(self._scale * z_0, eps, signal_rate, noise_rate, target=self.prediction)

        return denoise_scaled

    def _log_snr(self, timesteps: Tensor) -> tuple[np.ndarray, Tensor]:
        """Logarithm of the ratio at each step, and the steps at which it is higher by 2 log(scale). (S,), (S,)"""
        steps = np.arange(len(self.schedule))
        table = self.schedule.snr(torch.from_numpy(steps)).clamp(min=torch.finfo(torch.float64).tiny).log().numpy()
        log_snr = np.interp(timesteps.double().numpy(), steps, table)
        shifted = np.interp(log_snr + 2 * math.log(self._scale), table[::-1], steps[::-1])
        return log_snr, torch.from_numpy(shifted)


def _rates(log_snr: float) -> tuple[float, float]:
    """sqrt(abar) and sqrt(1 - abar)."""
    signal_rate = (1.0 + math.exp(-log_snr)) ** -0.5
    return signal_rate, (1.0 + math.exp(log_snr)) ** -0.5
