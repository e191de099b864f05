"""What the network's output means: the noise (eps), the clean latent (z_0) or the velocity (v), and how they convert.

v = sqrt(abar_t) eps - sqrt(1 - abar_t) z_0. Salimans & Ho 2022, section 4 and appendix D.
"""

from typing import Literal

from torch import Tensor

from ldm_lab.core.errors import ConfigError
from ldm_lab.diffusion.schedule import NoiseSchedule, ScheduleConfig

Prediction = Literal["eps", "z_0", "v"]


def check_prediction(schedule: ScheduleConfig, prediction: Prediction) -> None:
    """Refuse a network that predicts eps under a schedule whose last step is pure noise.

    There z_t = noise, so eps is a copy of the input and says nothing of z_0 (Lin et al. 2023, section 3.2).

    Raises:
        ConfigError: If ``zero_terminal_snr`` meets the prediction ``eps``.
    """
    if schedule.zero_terminal_snr and prediction == "eps":
        raise ConfigError(
            "prediction 'eps' cannot be used with zero_terminal_snr=True: the last step is pure noise and z_0 cannot "
            "be computed from it; choose prediction 'v' or 'z_0', or set zero_terminal_snr=False"
        )


def convert(
    output: Tensor, z_t: Tensor, t: Tensor, schedule: NoiseSchedule, *, source: Prediction, target: Prediction
) -> Tensor:
    """Turn one prediction into another.

    Args:
        output: What the network said, of kind ``source``. (B, C, h, w)
        z_t: The noisy latents that it saw. (B, C, h, w)
        t: Step of each sample. (B,)
        schedule: The forward process.
        source: Kind of ``output``.
        target: Kind wanted.

    Returns:
        The same statement as ``target``. (B, C, h, w)

    Raises:
        ConfigError: If ``source`` is eps under zero terminal SNR, where z_0 is undefined.
    """
    if source == target:
        return output
    check_prediction(schedule.config, source)
    signal_rate, noise_rate = schedule.rates(t, z_t)
    z_0, eps = clean_and_noise(output, z_t, signal_rate, noise_rate, source=source)
    return from_clean_and_noise(z_0, eps, signal_rate, noise_rate, target=target)


def clean_and_noise(
    output: Tensor, z_t: Tensor, signal_rate: Tensor | float, noise_rate: Tensor | float, *, source: Prediction
) -> tuple[Tensor, Tensor]:
    """Read the clean latent and the noise out of a prediction, so that z_t = signal_rate z_0 + noise_rate eps.

    Args:
        output: What the network said, of kind ``source``. (B, C, h, w)
        z_t: The noisy latents that it saw. (B, C, h, w)
        signal_rate: sqrt(abar_t), broadcastable to z_t.
        noise_rate: sqrt(1 - abar_t), broadcastable to z_t.
        source: Kind of ``output``.

    Returns:
        z_0 and eps, each (B, C, h, w).

    Raises:
        ConfigError: If ``source`` is unknown.
    """
    if source == "eps":
        return (z_t - noise_rate * output) / signal_rate, output
    if source == "z_0":
        return output, (z_t - signal_rate * output) / noise_rate
    if source == "v":
        return signal_rate * z_t - noise_rate * output, signal_rate * output + noise_rate * z_t
    raise ConfigError(f"prediction is {source!r}; choose one of eps, z_0, v")


def from_clean_and_noise(
    z_0: Tensor, eps: Tensor, signal_rate: Tensor | float, noise_rate: Tensor | float, *, target: Prediction
) -> Tensor:
    """The output of kind ``target`` that states this clean latent and this noise; shapes as in ``clean_and_noise``.

    Raises:
        ConfigError: If ``target`` is unknown.
    """
    if target == "eps":
        return eps
    if target == "z_0":
        return z_0
    if target == "v":
        return signal_rate * eps - noise_rate * z_0
    raise ConfigError(f"prediction is {target!r}; choose one of eps, z_0, v")
