"""The training objective: how far the prediction is from the truth, weighted by the step.

E ||target - predict(z_t, t)||, eq. 2 of LDM (Rombach et al. 2022) with eps as target.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError, ShapeError
from ldm_lab.diffusion.prediction import Prediction, check_prediction, from_clean_and_noise
from ldm_lab.diffusion.schedule import NoiseSchedule, add_noise


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """What the network learns to say and how its error counts.

    Raises:
        ConfigError: If a value is out of range, or min-SNR weights meet the L1 loss.
    """

    loss: Literal["l1", "l2"] = setting("l2", help="Absolute or squared error.")
    prediction: Prediction = setting("eps", help="What the network's output means.")
    min_snr_gamma: float | None = setting(
        None, minimum=1e-3, help="Min-SNR weighting (5 in the paper); None: equal weights."
    )
    offset_noise: float = setting(0.0, minimum=0.0, maximum=1.0, help="Share of noise that is constant over a channel.")

    def __post_init__(self) -> None:
        check(self)
        if self.loss == "l1" and self.min_snr_gamma is not None:
            raise ConfigError(
                f"min_snr_gamma is {self.min_snr_gamma} with loss 'l1'; its weights are ratios of squared errors, "
                "so use loss 'l2' or min_snr_gamma=None"
            )


@dataclass(frozen=True, slots=True)
class Loss:
    """One evaluation of the objective.

    Attributes:
        mean: Weighted mean over the batch, to be differentiated. ()
        per_sample: Unweighted, detached error of each sample, for plots over t. (B,)
    """

    mean: Tensor
    per_sample: Tensor


def denoising_loss(
    predict: Callable[[Tensor, Tensor], Tensor],
    z_0: Tensor,
    t: Tensor,
    noise: Tensor,
    schedule: NoiseSchedule,
    config: ObjectiveConfig,
    *,
    offset: Tensor | None = None,
    emphasis: Tensor | None = None,
) -> Loss:
    """Diffuse ``z_0``, ask ``predict``, compare with the truth.

    Args:
        predict: (z_t, t) -> output of kind ``config.prediction``, shape of z_t.
        z_0: Scaled latents. (B, C, h, w)
        t: Step of each sample. (B,)
        noise: Standard normal. (B, C, h, w)
        schedule: The forward process.
        config: What is compared and how.
        offset: Standard normal, one number a channel; needed if and only if ``config.offset_noise`` > 0. (B, C, 1, 1)
        emphasis: How much the error of each place counts; None: all count 1. (B, 1, h, w)

    Raises:
        ConfigError: If the prediction is eps under zero terminal SNR.
        ShapeError: If shapes differ, or ``offset`` is missing or superfluous.
    """
    check_prediction(schedule.config, config.prediction)
    noise = add_offset(noise, offset, strength=config.offset_noise)
    z_t = add_noise(z_0, noise, t, schedule)
    target = from_clean_and_noise(z_0, noise, *schedule.rates(t, z_0), target=config.prediction)
    error = (
        predict(z_t, t).to(target.dtype) - target
    )  # under autocast the output may be bf16: compare in z_0's precision
    cost = error.abs() if config.loss == "l1" else error.square()
    weights = loss_weights(t, schedule, config).to(cost)  # (B,)
    counted = cost if emphasis is None else emphasis * cost
    return Loss(mean=(weights * counted.flatten(1).mean(1)).mean(), per_sample=cost.detach().flatten(1).mean(1))


def draw_steps(count: int, schedule: NoiseSchedule, generator: torch.Generator, *, shift: float = 1.0) -> Tensor:
    """Steps to learn from.

    Args:
        count: How many.
        schedule: The forward process.
        generator: On the CPU.
        shift: Maps uniform shares u of the way to noise to s u / (1 + (s - 1) u), the timestep shift of Stable
            Diffusion 3 (Esser et al. 2024, eq. 23). 1: all steps equally often, as in LDM; 3: half of all steps are
            among the noisiest quarter.

    Returns:
        From 0 to ``len(schedule) - 1``. (count,)
    """
    steps = torch.randint(len(schedule), (count,), generator=generator)
    if shift == 1.0:
        return steps
    share = (steps.double() + 0.5) / len(schedule)
    return (shift * share / (1.0 + (shift - 1.0) * share) * len(schedule)).long()


def loss_weights(t: Tensor, schedule: NoiseSchedule, config: ObjectiveConfig) -> Tensor:
    """Weight of each sample's error: min(SNR, gamma) on z_0's squared error, restated for what the network predicts.

    Min-SNR (Hang et al. 2023): since ||z_0 error||^2 = ||eps error||^2 / SNR = ||v error||^2 / (SNR + 1), the weights
    for z_0, eps and v are min(SNR, gamma), min(SNR, gamma) / SNR and min(SNR, gamma) / (SNR + 1). A step without any
    signal (zero terminal SNR) has weight 0.

    Returns:
        fp64 on the CPU; all ones if ``config.min_snr_gamma`` is None. (B,)
    """
    if config.min_snr_gamma is None:
        return torch.ones(t.shape, dtype=torch.float64)
    snr = schedule.snr(t)
    divisor = {"eps": snr, "z_0": torch.ones_like(snr), "v": snr + 1.0}[config.prediction]
    return snr.clamp(max=config.min_snr_gamma) / divisor


def add_offset(noise: Tensor, offset: Tensor | None, *, strength: float) -> Tensor:
    """Add a constant to each channel of the noise, so that the model learns to change overall brightness.

    Guttenberg 2023, "Diffusion with Offset Noise": noise + strength * offset, both standard normal (0.1 there).

    Args:
        noise: Standard normal. (B, C, h, w)
        offset: Standard normal. (B, C, 1, 1), or None where ``strength`` is 0.
        strength: Standard deviation of the constant.

    Raises:
        ShapeError: If ``offset`` is missing, superfluous or of another shape.
    """
    expected = (*noise.shape[:2], *[1] * (noise.ndim - 2)) if strength > 0.0 else None
    given = None if offset is None else tuple(offset.shape)
    if given != expected:
        raise ShapeError(f"offset has shape {given}; offset_noise={strength} needs {expected}")
    return noise if offset is None else noise + strength * offset
