"""DDIM inversion: the noise from which a given latent would have come.

DDIM (Song et al. 2021) without noise is a step of Euler's method on an ODE, which can be walked in both directions
(their section 4.3). The step down from z_t is

    z_s = (a_s / a_t) z_t + (b_s - b_t a_s / a_t) eps(z_t, t),        a = sqrt(abar), b = sqrt(1 - abar)

(their eq. 12 with sigma = 0). The step up must solve this for z_t, which also stands inside eps. Usually eps is taken
at z_s instead; here that is only the first guess, and the equation is iterated. Every evaluation of the network
multiplies what is left of a step's error by about q = (b_t - b_s a_t / a_s) x the Lipschitz constant of eps, which is
below 1 for well-behaved data: a quarter for Gaussian data of standard deviation 0.5 and 20 steps, where 1, 3 and 10
evaluations a step leave an error of 0.12, 0.007 and 5e-7. Followed by ``sample_steps`` with "ddim" and as many steps,
the walk ends where it began, up to that error and to rounding.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.diffusion import NoiseSchedule
from ldm_lab.sampling.catalogue import make_scheduler
from ldm_lab.sampling.guidance import Denoiser, Guide
from ldm_lab.sampling.scheduler import Scheduler, planned, signal_and_noise_rates
from ldm_lab.sampling.steps import CONDITION_ALONE, Step, check_num_steps, sample_steps

LARGEST_NUM_ITERATIONS = 100


def invert_steps(
    model: Denoiser,
    cond: Conditioning | None,
    z_0: Tensor,
    *,
    num_steps: int,
    num_iterations: int = 3,
    guidance: Guide = CONDITION_ALONE,
) -> Iterator[Step]:
    """Walk from clean latents up to noise; the last record's ``z_next`` is z_T.

    ``sample_steps(model, cond, make_scheduler("ddim", ...), num_steps=num_steps, start=(z_T, 0), ...)`` leads back.
    Guidance makes eps steeper, so that more iterations are needed; scale 1 is the safest.

    Args:
        model: Network with its schedule.
        cond: What the latents show, one an image, or None.
        z_0: Scaled latents. (B, C, h, w)
        num_steps: Steps of the walk down that is inverted.
        num_iterations: Evaluations of the network a step.
        guidance: As in the walk down.

    Raises:
        RequestError: If a number is out of range.
        ShapeError: If ``z_0`` is no batch of latents.
    """
    check_num_steps(num_steps, largest=len(model.schedule))
    _check_num_iterations(num_iterations)
    if z_0.ndim != 4:
        raise ShapeError(f"z_0 has shape {tuple(z_0.shape)}; expected (batch, channels, height, width)")
    z_0 = z_0.to(model.device, torch.promote_types(model.dtype, torch.float32))
    ddim = make_scheduler("ddim", model.schedule.config, model.prediction)
    scheduler = InverseDDIM(ddim, model.schedule, z_0=z_0, num_iterations=num_iterations)
    return sample_steps(
        model,
        cond,
        scheduler,
        num_steps=num_steps,
        seeds=[0] * len(z_0),
        shape=z_0.shape[1:],
        guidance=guidance,
        start=(scheduler.first_guess(num_steps), 0),
    )


class InverseDDIM:
    """DDIM upwards, as a scheduler: every step of the walk down is visited, cleanest first, ``num_iterations`` times.

    Attributes:
        config: It takes eps.
        timesteps: Steps of the model's schedule. (num_iterations x S,)
        init_noise_sigma: Of no meaning here; the walk begins with a latent.
    """

    init_noise_sigma = 1.0
    timesteps: Tensor

    def __init__(self, scheduler: Scheduler, schedule: NoiseSchedule, *, z_0: Tensor, num_iterations: int) -> None:
        """Take the scheduler whose walk is inverted, and where that walk shall end."""
        self.config = SimpleNamespace(prediction_type="epsilon")
        self._scheduler, self._schedule, self._num_iterations = scheduler, schedule, num_iterations
        self._settled = z_0  # the latent below the one that is being sought

    @property
    def sigmas(self) -> Tensor:
        """Noise rate / signal rate at ``timesteps``, and one more."""
        levels = torch.tensor(
            [noise_rate / signal_rate for signal_rate, noise_rate in self._rates], dtype=torch.float64
        )
        return torch.cat([levels.repeat_interleave(self._num_iterations), levels[-1:]])

    def first_guess(self, num_steps: int) -> Tensor:
        """Where a walk begins: z_0 at the cleanest noise level, without the noise."""
        return self._all_rates(planned(self._scheduler, num_steps))[0][0] * self._settled

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Plan the walk; ``device`` is not used, as in ``planned``."""
        down = planned(self._scheduler, num_inference_steps)
        self.timesteps = down.timesteps.flip(0).repeat_interleave(self._num_iterations)
        self._rates, self._index = self._all_rates(down), 0

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """The sample itself."""
        return sample

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor) -> SimpleNamespace:
        """A better guess at this level, or the first one at the next; in ``prev_sample``."""
        level, iteration = divmod(self._index, self._num_iterations)
        self._index += 1
        z = self._raised(model_output, level)
        if iteration == self._num_iterations - 1:
            self._settled = z
            z = self._raised(model_output, level + 1) if level + 1 < len(self._rates) else z
        return SimpleNamespace(prev_sample=z)

    def _raised(self, eps: Tensor, level: int) -> Tensor:
        """The settled latent, of the level below, taken up to ``level`` along ``eps``. (B, C, h, w)"""
        signal_rate, noise_rate = self._rates[level]
        signal_below, noise_below = self._rates[level - 1] if level > 0 else (1.0, 0.0)
        ratio = signal_rate / signal_below
        return ratio * self._settled + (noise_rate - ratio * noise_below) * eps

    def _all_rates(self, down: Scheduler) -> list[tuple[float, float]]:
        return signal_and_noise_rates(down, self._schedule)[::-1]


def _check_num_iterations(value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_NUM_ITERATIONS:
        raise RequestError(f"num_iterations is {value!r}; it must be an integer from 1 to {LARGEST_NUM_ITERATIONS}")
