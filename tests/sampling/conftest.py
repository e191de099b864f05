import pytest
import torch

from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.diffusion.prediction import from_clean_and_noise


class GaussianModel:
    """The best denoiser of independent Gaussian numbers N(mean, std^2), for which every answer is known."""

    device = torch.device("cpu")

    def __init__(self, config=None, prediction="eps", *, levels=None, dtype=torch.float64, mean=0.3, std=0.5):
        self.schedule = NoiseSchedule(config or ScheduleConfig())
        self.prediction, self.dtype, self.mean, self.std = prediction, dtype, mean, std
        self.levels = levels  # noise rate / signal rate at each position, where the schedule does not say it

    def bind(self, cond, timesteps, *, copies=1):
        levels = self.levels if self.levels is not None else self.schedule.snr(timesteps).rsqrt()
        signal_rates = (1 + levels.square()).rsqrt()
        noise_rates = (1 - signal_rates.square()).sqrt()

        def denoise(z_t, index):
            a, b = signal_rates[index], noise_rates[index]
            surprise = (z_t - a * self.mean) / (a**2 * self.std**2 + b**2)
            z_0, eps = self.mean + a * self.std**2 * surprise, b * surprise
            return from_clean_and_noise(z_0, eps, a, b, target=self.prediction)

        return denoise

    def solve(self, z_t, level_from, level_to=0.0):
        """Where the flow without noise takes z_t: it keeps the number of standard deviations from the mean."""
        rate_from, rate_to = (1 + level_from**2) ** -0.5, (1 + level_to**2) ** -0.5
        spread_from, spread_to = ((rate**2 * self.std**2 + 1 - rate**2) ** 0.5 for rate in (rate_from, rate_to))
        return rate_to * self.mean + (z_t - rate_from * self.mean) * spread_to / spread_from


class ConditionalModel:
    """A small non-linear function of the latent, the step and the condition's vector, that counts its evaluations."""

    device = torch.device("cpu")

    def __init__(self, config=None, prediction="eps", dtype=torch.float64):
        self.schedule = NoiseSchedule(config or ScheduleConfig())
        self.prediction, self.dtype = prediction, dtype
        self.evaluations = []  # (copies, t)

    def bind(self, cond, timesteps, *, copies=1):
        shift = 0.0 if cond is None else cond.vector.to(self.dtype)[:, :1, None, None]

        def denoise(z_t, index):
            assert z_t.dtype == self.dtype
            self.evaluations.append((copies, timesteps[index].item()))
            return 0.9 * torch.tanh(z_t.repeat(copies, 1, 1, 1) + shift + timesteps[index] / 2000)

        return denoise


@pytest.fixture
def gaussian_model():
    return GaussianModel


@pytest.fixture
def conditional_model():
    return ConditionalModel
