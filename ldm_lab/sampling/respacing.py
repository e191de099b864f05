"""Any number of steps for any scheduler: the steps visited become a schedule of their own, whose stride is 1."""

import copy
from typing import Any

import torch
from torch import Tensor

from ldm_lab.sampling.scheduler import advance


def trailing_timesteps(num_usable_steps: int, num_steps: int) -> Tensor:
    """``num_steps`` of the steps 0 to ``num_usable_steps`` - 1, evenly spaced, noisiest first and included.

    "Trailing" of Lin et al. 2023, table 2: the walk starts where the latents are pure noise, however few the steps.

    Returns:
        Descending steps. (num_steps,)
    """
    remaining = torch.arange(num_steps, 0, -1, dtype=torch.float64)
    return (remaining * num_usable_steps / num_steps).round().long() - 1


class Respaced:
    """A diffusers scheduler, used as it is, on a schedule that holds only the steps to be visited.

    Improved DDPM (Nichol & Dhariwal 2021), section 4, samples from such a shorter schedule. It mends what goes wrong
    in the schedulers' own spacing (seen in diffusers 0.42):

    * DDIM and PNDM step from t to t - T // n. Where n does not divide T, "trailing" steps are not that far apart, and
      "leading" ones begin near n (T // n) instead of T: with n = 600 at t = 600, although z_T is pure noise.
    * "trailing" counts down in floating point and adds a step t = -1 for 69 of the counts up to 1000; 61 is the first.
    * "leading" with ``steps_offset=1`` begins at t = 1000 if n = 1000, beyond the tables.
    * LMS and PNDM rely on a history that is not there when they start inside the walk; here the rest is its own walk.

    Attributes:
        config: That of the scheduler.
        timesteps: Steps of the model's schedule, noisiest first. (S,)
    """

    timesteps: Tensor

    def __init__(self, scheduler: Any, *, alphas_cumprod: Tensor) -> None:
        """Take a scheduler and the steps that it may visit.

        Args:
            scheduler: Of diffusers, with ``timestep_spacing="trailing"``.
            alphas_cumprod: abar of the model's steps, from the cleanest to the one where walks begin. (U,)
        """
        self.config = scheduler.config
        self._scheduler = scheduler
        self._alphas_cumprod = alphas_cumprod
        self.set_timesteps(1)

    @property
    def init_noise_sigma(self) -> Any:
        """Factor that turns standard normal noise into the first sample."""
        return self._inner.init_noise_sigma

    @property
    def sigmas(self) -> Tensor:
        """Noise rate / signal rate at ``timesteps``, and 0 at the end, from the scheduler's own table. (S + 1,)"""
        abar = self._alphas_cumprod[self.timesteps].double()
        return torch.cat([((1.0 - abar) / abar).sqrt(), abar.new_zeros(1)])

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Plan the walk. ``device`` is not used: tables on the CPU make looking a step up never wait for a GPU."""
        num_usable_steps = len(self._alphas_cumprod)
        num_steps = min(num_inference_steps, num_usable_steps)
        self._visit(trailing_timesteps(num_usable_steps, num_steps).flip(0))

    def set_begin_index(self, begin_index: int) -> None:
        """Start at ``timesteps[begin_index]``, without history; the entries before it stay as they are."""
        done, rest = self.timesteps[:begin_index], self.timesteps[begin_index:]
        self._visit(rest.unique())
        self.timesteps = torch.cat([done, self.timesteps])

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """The sample as the network wants to see it."""
        return self._inner.scale_model_input(sample, self._inner_timestep[int(timestep)])

    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, generator: list[torch.Generator] | None = None
    ) -> Any:
        """One step of the scheduler; what it returns has ``prev_sample``."""
        inner_timestep = self._inner_timestep[int(timestep)]
        return advance(self._inner, model_output, inner_timestep, sample, generator=generator)

    def _visit(self, ascending: Tensor) -> None:
        self._inner = copy.deepcopy(self._scheduler)
        self._inner.register_to_config(num_train_timesteps=len(ascending))
        self._inner.alphas_cumprod = self._alphas_cumprod[ascending]
        self._inner.set_timesteps(len(ascending), device="cpu")
        self.timesteps = ascending[self._inner.timesteps.long()]  # second-order schedulers visit a step twice
        self._inner_timestep = dict(zip(self.timesteps.tolist(), self._inner.timesteps, strict=True))
