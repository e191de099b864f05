"""A latent diffusion model, whole: x → z → z_t → eps → z → x.

The first stage turns an image x into a small latent z and back. The diffusion process blurs z into noise z_t; the UNet
looks at z_t, at the step t and at the condition, and predicts what was added. ``ldm_lab.sampling`` walks that way back.
This file holds the parts together and says in which units they speak; LDM (Rombach et al. 2022), figure 3.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.conditioning import Conditioning
from ldm_lab.conditioning.build import ConditionerConfig, check_first_stage
from ldm_lab.conditioning.conditioner import Conditioner
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError, LdmLabError, RequestError
from ldm_lab.diffusion.prediction import Prediction, check_prediction
from ldm_lab.diffusion.schedule import NoiseSchedule, ScheduleConfig
from ldm_lab.unet.config import UNetConfig
from ldm_lab.unet.unet import UNet


class NonFiniteImageError(LdmLabError):
    """The decoder returned NaN or infinity, also in fp32; no picture is made from that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentDiffusionConfig:
    """Everything that has to be known to build a model: its parts, its schedule, and what its output means."""

    autoencoder: AutoencoderConfig
    unet: UNetConfig
    conditioner: ConditionerConfig | None = None
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    prediction: Prediction = setting("eps", help="What the UNet's output means")
    image_size: int = setting(256, help="Side in pixels of the images it was trained on", minimum=1, maximum=8192)

    def __post_init__(self) -> None:
        check(self)
        check_prediction(self.schedule, self.prediction)
        self._check_channels()

    def _check_channels(self) -> None:
        """What is concatenated to the latent must fit beside it, and the prediction has the latent's channels."""
        latent = self.autoencoder.latent_channels
        beside = self.conditioner.concat_channels if self.conditioner else 0
        if self.unet.out_channels != latent:
            raise ConfigError(
                f"the UNet has out_channels={self.unet.out_channels}, the autoencoder latent_channels={latent}; they "
                f"must be equal"
            )
        if self.unet.in_channels != latent + beside:
            raise ConfigError(
                f"the UNet has in_channels={self.unet.in_channels}, but latents have {latent} channels and the "
                f"conditioner concatenates {beside}; it must have {latent + beside}"
            )
        factor = self.autoencoder.downsampling_factor
        check_first_stage(self.conditioner, latent_channels=latent, factor=factor)


class LatentDiffusion(nn.Module):
    """First stage, conditioner, UNet and schedule.

    Latents are *scaled* here: ``z = scale_factor * z_raw``, about unit variance (LDM, appendix G). Parts come ready
    made, so that a first stage can be shared by several models.
    """

    def __init__(
        self,
        config: LatentDiffusionConfig,
        *,
        autoencoder: Autoencoder,
        unet: UNet,
        conditioner: Conditioner | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = autoencoder
        self.unet = unet
        self.conditioner = conditioner
        self.schedule = NoiseSchedule(config.schedule)
        if conditioner is not None:
            conditioner.attach(self.encode)

    @property
    def prediction(self) -> Prediction:
        """What the UNet's output means."""
        return self.config.prediction

    @property
    def scale_factor(self) -> float:
        """Multiplies raw latents; measured over many batches when the first stage was trained."""
        return self.config.autoencoder.scale_factor

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the UNet's weights."""
        return next(self.unet.parameters()).dtype

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Shape (C, h, w) of the latent of an image.

        Raises:
            RequestError: If a side does not fit the network; the message names the nearest sizes that do.
        """
        step = self.config.autoencoder.downsampling_factor * self.config.unet.side_factor
        for name, side in (("width", width), ("height", height)):
            if side < step or side % step:
                below, above = max(step, side // step * step), max(step, -(-side // step) * step)
                nearest = f"{below} or {above}" if below != above else str(below)
                raise RequestError(f"{name} is {side}; it must be a multiple of {step}, the nearest is {nearest}")
        factor = self.config.autoencoder.downsampling_factor
        return self.config.autoencoder.latent_channels, height // factor, width // factor

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Images → scaled latents, in fp32 at least, whatever the first stage computes in.

        Args:
            x: Images in [-1, 1]. (B, 3, H, W)
            generator: Draws from the posterior; None takes its mode.

        Returns:
            (B, C, H/f, W/f)
        """
        posterior = self.autoencoder.encode(x.to(self._first_stage_dtype))
        z_raw = posterior.mode() if generator is None else posterior.sample(generator)
        return self.scale_factor * _at_least_fp32(z_raw)

    def decode(self, z: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) → images (B, 3, f·h, f·w), about [-1, 1] but not clamped, in fp32 at least.

        In half precision a decoder can overflow; then a copy of it decodes once more in fp32.

        Raises:
            NonFiniteImageError: If the image holds NaN or infinity nevertheless.
        """
        dtype = self._first_stage_dtype
        x = self.autoencoder.decode((z / self.scale_factor).to(dtype))
        if dtype.itemsize < 4 and not torch.isfinite(x).all():
            x = copy.deepcopy(self.autoencoder).float().decode(z.float() / self.scale_factor)
        _check_finite(x, z)
        return _at_least_fp32(x)

    def condition(self, y: Sequence[Any]) -> Conditioning | None:
        """Raw conditions, one an image (prompts, labels …) → what the UNet reads; None for an unconditional model."""
        return None if self.conditioner is None else self.conditioner.encode(y)

    def predict(self, z_t: Tensor, t: Tensor, cond: Conditioning | None = None) -> Tensor:
        """One evaluation of the UNet.

        Args:
            z_t: Noisy latents. (B, C, h, w)
            t: Steps, 0 is almost clean. (B,)
            cond: Condition of each image.

        Returns:
            eps, z_0 or v, as ``prediction`` says. (B, C, h, w)
        """
        return self.unet(z_t, t, cond)

    def bind(self, cond: Conditioning | None, timesteps: Tensor, *, copies: int = 1) -> Callable[[Tensor, int], Tensor]:
        """Fix condition and steps before a loop; what does not change from step to step is computed here, once.

        Returns:
            ``denoise(z_t, i)``: the prediction at ``timesteps[i]``.
        """
        return self.unet.bind(cond, timesteps, copies=copies)

    @property
    def _first_stage_dtype(self) -> torch.dtype:
        return next(self.autoencoder.parameters()).dtype


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _check_finite(x: Tensor, z: Tensor) -> None:
    broken = int((~torch.isfinite(x)).sum())
    if broken:
        raise NonFiniteImageError(
            f"the decoder made {broken} values that are not finite from latents of magnitude up to "
            f"{z.abs().max().item():.3g}; lower the guidance scale or check the latent"
        )
