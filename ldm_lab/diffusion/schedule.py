"""The forward process: how much signal and how much noise every step holds.

z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise, with abar_t (``alphas_cumprod``) the running product of 1 - beta_t.
DDPM, Ho et al. 2020, eq. 4; in latent space as in LDM, Rombach et al. 2022.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError, ShapeError

ScheduleKind = Literal["linear", "scaled_linear", "cosine"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """Which betas; the defaults are those of the LDM paper's unconditional and class-conditional models.

    Raises:
        ConfigError: If a value is out of range or the betas do not grow inside (0, 1).
    """

    num_train_steps: int = setting(1000, minimum=2, maximum=10_000, help="Steps of the forward process.")
    kind: ScheduleKind = setting("scaled_linear", help="Shape of the betas; LDM's code says linear for scaled_linear.")
    beta_start: float = setting(0.0015, help="First beta; cosine does not use it.")  # 0.00085 in Stable Diffusion
    beta_end: float = setting(0.0195, help="Last beta; cosine does not use it.")  # 0.012 in Stable Diffusion
    zero_terminal_snr: bool = setting(False, help="Rescale so that the last step holds no signal at all.")

    def __post_init__(self) -> None:
        check(self)
        if not 0.0 < self.beta_start <= self.beta_end < 1.0:
            raise ConfigError(
                f"beta_start {self.beta_start} and beta_end {self.beta_end} must satisfy 0 < beta_start <= beta_end < 1"
            )


class NoiseSchedule:
    """The tables of one schedule, each of length ``num_train_steps``, in fp64 on the CPU.

    Attributes:
        config: What the tables were made from.
        betas: Variance added by each step. (T,)
        alphas: 1 - betas. (T,)
        alphas_cumprod: Running product of alphas, the abar of DDPM. (T,)
    """

    def __init__(self, config: ScheduleConfig) -> None:
        self.config = config
        betas = _betas(config)
        self.betas = _rescale_to_zero_terminal_snr(betas) if config.zero_terminal_snr else betas
        self.alphas = 1.0 - self.betas
        self.alphas_cumprod = self.alphas.cumprod(0)

    def __len__(self) -> int:
        return self.config.num_train_steps

    def rates(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Signal rate sqrt(abar_t) and noise rate sqrt(1 - abar_t), cast and shaped to multiply ``like``.

        Args:
            t: Step of each sample; 0 is almost clean. On the CPU it costs no synchronisation. (B,)
            like: Sample whose dtype, device and rank the rates take. (B, ...)

        Returns:
            Two tensors of shape (B, 1, ..., 1).
        """
        signal_rate = gather(self.alphas_cumprod.sqrt(), t, like)
        noise_rate = gather((1.0 - self.alphas_cumprod).sqrt(), t, like)
        return signal_rate, noise_rate

    def snr(self, t: Tensor) -> Tensor:
        """Signal-to-noise ratio abar_t / (1 - abar_t), in fp64 on the CPU; same shape as ``t``."""
        abar = self.alphas_cumprod[t.cpu()]
        return abar / (1.0 - abar)


def gather(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Pick ``table[t]`` for each sample and shape it to multiply ``like``.

    Args:
        table: One fp64 value for each step. (T,)
        t: Step of each sample. (B,)
        like: Sample whose dtype, device and rank the result takes. (B, ...)

    Returns:
        Values of shape (B, 1, ..., 1).

    Raises:
        ShapeError: If ``t`` is not one integer for each sample.
        IndexError: If a step is negative or beyond the table.
    """
    if t.shape != like.shape[:1] or t.is_floating_point():
        raise ShapeError(
            f"t is {t.dtype} of shape {tuple(t.shape)}; expected one integer for each of {like.shape[0]} samples"
        )
    values = table.to(like.dtype).to(t.device).index_select(0, t)  # index_select refuses what [] would wrap: t = -1
    return values.to(like.device).reshape(-1, *[1] * (like.ndim - 1))


def add_noise(z_0: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Diffuse clean latents: z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise.

    DDPM (Ho et al. 2020), eq. 4.

    Args:
        z_0: Scaled latents, unit variance. (B, C, h, w)
        noise: Standard normal. (B, C, h, w)
        t: Step of each sample; 0 is almost clean. (B,)
        schedule: Holds ``alphas_cumprod`` of every step.

    Returns:
        Noisy latents z_t. (B, C, h, w)

    Raises:
        ShapeError: If ``noise`` differs in shape from ``z_0`` or ``t`` is not (B,).
    """
    if noise.shape != z_0.shape:
        raise ShapeError(f"noise has shape {tuple(noise.shape)}, z_0 has {tuple(z_0.shape)}; they must be equal")
    signal_rate, noise_rate = schedule.rates(t, z_0)
    return signal_rate * z_0 + noise_rate * noise


def posterior(z_0: Tensor, z_t: Tensor, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(z_{t-1} | z_t, z_0), the step back when the clean latent is known.

    DDPM (Ho et al. 2020), eqs. 6 and 7. At t = 0 the step before holds no noise: the mean is z_0, the variance 0.

    Args:
        z_0: Clean latents. (B, C, h, w)
        z_t: Noisy latents. (B, C, h, w)
        t: Step of each sample. (B,)
        schedule: The forward process.

    Returns:
        Mean (B, C, h, w) and variance (B, 1, 1, 1).
    """
    abar = schedule.alphas_cumprod
    abar_before = torch.cat([torch.ones(1, dtype=abar.dtype), abar[:-1]])
    weight_of_z_0 = abar_before.sqrt() * schedule.betas / (1.0 - abar)
    weight_of_z_t = schedule.alphas.sqrt() * (1.0 - abar_before) / (1.0 - abar)
    variance = schedule.betas * (1.0 - abar_before) / (1.0 - abar)
    mean = gather(weight_of_z_0, t, z_0) * z_0 + gather(weight_of_z_t, t, z_t) * z_t
    return mean, gather(variance, t, z_t)


def _betas(config: ScheduleConfig) -> Tensor:
    steps, start, end = config.num_train_steps, config.beta_start, config.beta_end
    if config.kind == "linear":  # DDPM, section 4
        return torch.linspace(start, end, steps, dtype=torch.float64)
    if config.kind == "scaled_linear":  # linear in sqrt(beta); LDM's make_beta_schedule calls this one "linear"
        return torch.linspace(math.sqrt(start), math.sqrt(end), steps, dtype=torch.float64).square()
    return _cosine_betas(steps)


def _cosine_betas(steps: int, offset: float = 0.008, largest: float = 0.999) -> Tensor:
    """Betas whose abar_t is a squared cosine. Improved DDPM (Nichol & Dhariwal 2021), eq. 17 and the text below."""
    fraction = torch.arange(steps + 1, dtype=torch.float64) / steps
    abar = torch.cos((fraction + offset) / (1.0 + offset) * (math.pi / 2)).square()
    return (1.0 - abar[1:] / abar[:-1]).clamp(max=largest)


def _rescale_to_zero_terminal_snr(betas: Tensor) -> Tensor:
    """Shift and scale sqrt(abar) so that its first value stays and its last is 0. Lin et al. 2023, algorithm 1."""
    signal_rate = (1.0 - betas).cumprod(0).sqrt()
    first, last = signal_rate[0], signal_rate[-1]
    abar = ((signal_rate - last) * first / (first - last)).square()
    return torch.cat([1.0 - abar[:1], 1.0 - abar[1:] / abar[:-1]])
