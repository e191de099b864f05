"""Image guiding: an image, seen through a transform, draws the walk of any model towards it, without training."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError, RequestError, ShapeError
from ldm_lab.diffusion import NoiseSchedule, Prediction
from ldm_lab.diffusion.prediction import clean_and_noise, from_clean_and_noise
from ldm_lab.sampling.guidance import Condition, Denoise, Denoiser, Guidance, Guide

Rates = tuple[float, float]  # sqrt(abar), sqrt(1 - abar)


def half_squared_error(seen: Tensor, target: Tensor) -> Tensor:
    """Half the squared distance, summed over each image: the -log p of LDM's Gaussian guider. (B, ...) → (B,)"""
    return 0.5 * (seen - target).square().flatten(1).sum(1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageGuidance:
    """Post-hoc image guiding: LDM (Rombach et al. 2022), appendix C, eq. 16; a ``Guide`` around another one.

    eps_hat = eps - sqrt(1 - abar_t) scale grad_{z_t} log p(y | T(D(z_0(z_t)))), with log p = -loss(T(D(z_0)), y).

    The paper's Gaussian guider has variance 1, which is scale 1 with ``half_squared_error``. For figure 14 its T is
    bicubic downsampling; for super-resolution LPIPS takes the place of the loss.

    Checked with the paper's text: eq. 16 prints a plus. It follows Dhariwal & Nichol 2021, whose eq. 14 and algorithm 2
    have the minus. As eps is -sqrt(1 - abar_t) times the score, only the minus makes y more likely, and the tests hold
    it to that. What the paper calls alpha_t is sqrt(abar_t).

    Attributes:
        target: y, what T should show. (B or 1, ...)
        decode: D, scaled latents (B, C, h, w) → images (B, 3, H, W), differentiable; for a VQ first stage with
            ``Autoencoder.decode_straight_through``.
        transform: T, from images to what is compared with the target; None: the images themselves.
        loss: (T(x), y) → one number an image (B,), such as that of LPIPS; no mean over the batch.
        scale: How strongly; 1 / variance of a Gaussian guider. 0 is the plain walk, bit for bit.
        base: What it is put around.

    Raises:
        RequestError: If a value is out of range.
    """

    target: Tensor
    decode: Callable[[Tensor], Tensor]
    transform: Callable[[Tensor], Tensor] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = half_squared_error
    scale: float = setting(1.0, minimum=0.0, maximum=10_000.0, help="0: not at all; more: closer to the image.")
    base: Guide = Guidance()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        check(self, error=RequestError)

    def bind(self, model: Denoiser, cond: Condition, timesteps: Tensor) -> Denoise:
        """Bind ``base``, and correct what it predicts.

        Raises:
            ConfigError: If the scheduler visits places between the model's steps.
        """
        predict = self.base.bind(model, cond, timesteps)
        if self.scale == 0.0:
            return predict
        rates = _rates(model.schedule, timesteps)
        return lambda z_t, index: self._correct(predict, z_t, index, rates=rates[index], prediction=model.prediction)

    @torch.enable_grad()
    def _correct(self, predict: Denoise, z_t: Tensor, index: int, *, rates: Rates, prediction: Prediction) -> Tensor:
        """The prediction at a step after guiding; where z_t holds no signal there is nothing to guide. (B, C, h, w)"""
        z_t = z_t.detach().requires_grad_()
        output = predict(z_t, index)
        signal_rate, noise_rate = rates
        if signal_rate == 0.0:
            return output.detach()
        z_0, eps = clean_and_noise(output, z_t, signal_rate, noise_rate, source=prediction)
        (gradient,) = torch.autograd.grad(self._penalty(z_0).sum(), z_t)
        eps = (eps + noise_rate * self.scale * gradient).detach()
        z_0 = (z_0 - noise_rate**2 / signal_rate * self.scale * gradient).detach()
        return from_clean_and_noise(z_0, eps, signal_rate, noise_rate, target=prediction)

    def _penalty(self, z_0: Tensor) -> Tensor:
        """-log p of each image. (B,)"""
        x = self.decode(z_0)
        seen = x if self.transform is None else self.transform(x)
        if seen.shape[1:] != self.target.shape[1:] or len(self.target) not in (1, len(seen)):
            raise ShapeError(f"the target has shape {tuple(self.target.shape)}, what is seen {tuple(seen.shape)}")
        return self.loss(seen, self.target.to(seen))


def _rates(schedule: NoiseSchedule, timesteps: Tensor) -> list[Rates]:
    if timesteps.is_floating_point():
        raise ConfigError(
            "image guiding needs a scheduler that visits whole steps, and this one visits places between them; "
            "use a scheduler of the catalogue"
        )
    abar = schedule.alphas_cumprod[timesteps]
    return list(zip(abar.sqrt().tolist(), (1.0 - abar).sqrt().tolist(), strict=True))
