"""Masked sampling: a scheduler that puts the known part of a latent back after every step.

The walk does not know of it: like any scheduler, this one says which steps are visited and where each of them ends.
"""

import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.diffusion import NoiseSchedule
from ldm_lab.sampling.scheduler import Scheduler, advance, begin_at, planned, signal_and_noise_rates


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampling:
    """Going back on the way, so that the new part and the known one agree; RePaint (Lugmayr et al. 2022), section 4.2.

    After every ``jump_length`` steps the walk adds noise again, by as many steps, and repeats them.

    Attributes:
        jump_length: Steps of one jump, j in the paper.
        num_resamplings: How often each stretch is walked; 1 never goes back. Called U in the paper's algorithm 1.
    """

    jump_length: int = setting(10, minimum=1, maximum=1000, help="Steps that are repeated together.")
    num_resamplings: int = setting(10, minimum=1, maximum=100, help="How often; each costs the walk once more.")

    def __post_init__(self) -> None:
        check(self, error=RequestError)


class Masked:
    """A scheduler around another one, for images of which a part is known.

    RePaint, eq. 8: what the scheduler made holds under the mask; elsewhere the known latent is diffused to the noise
    level reached, and in the end is itself. (Algorithm 1 of the paper writes 1 - abar for the known part's noise where
    eq. 8a has its root, which is right.)

    Without resampling the known part's noise is that of z_T, so it comes down straight; diffusers' inpainting does the
    same. With it, noise is drawn afresh at every step, as in algorithm 1.

    Attributes:
        config: That of the scheduler.
        timesteps: Steps visited; with resampling they go up and down. (S,)
    """

    timesteps: Tensor

    def __init__(
        self,
        scheduler: Scheduler,
        schedule: NoiseSchedule,
        *,
        z_0: Tensor,
        mask: Tensor,
        seeds: tuple[int, ...],
        resampling: Resampling | None = None,
    ) -> None:
        """Take a scheduler and what is known.

        Args:
            scheduler: Any, as it would be given to the walk; for resampling one that visits every step once.
            schedule: That of the model.
            z_0: Scaled latents; what lies under the mask does not matter. (B, C, h, w)
            mask: 1 where the image is made anew, 0 where it is kept; what lies between blends. (B or 1, 1, h, w)
            seeds: Those of the walk.
            resampling: None walks straight down.
        """
        self.config = scheduler.config
        self._scheduler, self._schedule, self._seeds, self._resampling = scheduler, schedule, seeds, resampling
        self._z_0, self._mask = z_0, mask

    @property
    def init_noise_sigma(self) -> Any:
        """Factor that turns standard normal noise into the first sample."""
        return self._running.init_noise_sigma

    @property
    def sigmas(self) -> Tensor | None:
        """Noise rate / signal rate at ``timesteps`` and at the end, if the scheduler states them. (S + 1,)"""
        levels = getattr(self._planned, "sigmas", None)
        if levels is None or len(levels) != len(self._planned.timesteps) + 1:
            return None
        return levels[[*self._places, -1]]

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Plan the walk; ``device`` is not used, as in ``planned``."""
        self._planned = planned(self._scheduler, num_inference_steps)
        self._plan(0)

    def set_begin_index(self, begin_index: int) -> None:
        """Start at a position of the scheduler's own walk; jumps back lead to that position at most."""
        begin_at(self._planned, begin_index)
        self._plan(begin_index)

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """The sample as the network wants to see it."""
        return self._running.scale_model_input(sample, timestep)

    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, generator: list[torch.Generator] | None = None
    ) -> SimpleNamespace:
        """One step of the scheduler, then the known part, then perhaps a jump back; in ``prev_sample``."""
        sample = advance(self._running, model_output, timestep, sample, generator=generator).prev_sample
        place = self._places[self._index] + 1
        sample = self._put_back(sample, place)
        self._index += 1
        if self._index < len(self._places) and self._places[self._index] != place:
            sample = self._jump(sample, place, self._places[self._index])
        return SimpleNamespace(prev_sample=sample)

    def _plan(self, first: int) -> None:
        """Decide which places of the scheduler's walk are visited, in which order, from ``first`` on."""
        timesteps = self._planned.timesteps
        if self._resampling is not None and bool((timesteps.diff() >= 0).any()):
            raise RequestError(
                "resampling needs a sampler that visits every step once, but this one visits some twice; "
                "choose ddpm, as RePaint does, or ddim"
            )
        rest = resampled_places(len(timesteps) - first, self._resampling)
        self._places = [*range(first), *(first + place for place in rest)]
        self.timesteps = timesteps[self._places]
        self._rates = [*signal_and_noise_rates(self._planned, self._schedule), (1.0, 0.0)]
        self._index, self._running = first, copy.deepcopy(self._planned)

    def _put_back(self, sample: Tensor, place: int) -> Tensor:
        """Blend with the known latent at the noise level of a place. (B, C, h, w)"""
        signal_rate, noise_rate = self._rates[place]
        noise = self._noise("start" if self._resampling is None else f"known {self._index}")
        known = signal_rate * self._z_0.to(sample) + noise_rate * noise.to(sample)
        mask = self._mask.to(sample)
        return mask * sample + (1.0 - mask) * (known / self._scale(place))

    def _jump(self, sample: Tensor, place: int, earlier: int) -> Tensor:
        """Diffuse from the noise level of a place to that of an earlier one, and let the scheduler restart there.

        All the steps between in one: q(z_t | z_s) = N(ratio z_s, 1 - ratio^2), ratio = sqrt(abar_t / abar_s).
        """
        z_s = sample * self._scale(place)
        self._running = copy.deepcopy(self._planned)
        begin_at(self._running, earlier)
        ratio = self._rates[earlier][0] / self._rates[place][0]
        noise = self._noise(f"jump {self._index}").to(sample)
        return (ratio * z_s + (1.0 - ratio**2) ** 0.5 * noise) / self._scale(earlier)

    def _noise(self, stream: str) -> Tensor:
        return sample_noise(self._z_0.shape[1:], self._seeds, stream=stream)

    def _scale(self, place: int) -> Tensor | float:
        """What turns the scheduler's coordinates at a place into those of the forward process."""
        timesteps = self._planned.timesteps
        return 1.0 if place == len(timesteps) else self._running.scale_model_input(torch.ones(()), timesteps[place])


def resampled_places(num_places: int, resampling: Resampling | None) -> list[int]:
    """The places 0 to ``num_places`` - 1 of a walk in the order in which RePaint visits them.

    Stretches end at the noise levels 0, j, 2j, … counted from the cleanest one; the last step, to the clean latent, is
    taken once. So do the algorithm (for j = 1) and the published code of the paper (for any j).

    Raises:
        RequestError: If a jump is as long as the walk or longer.
    """
    if resampling is None:
        return list(range(num_places))
    length = resampling.jump_length
    if length >= num_places:
        raise RequestError(
            f"jump_length is {length}, but the walk has only {num_places} steps; choose a shorter jump or more steps"
        )
    jumps_left = dict.fromkeys(range(0, num_places - length, length), resampling.num_resamplings - 1)
    places, place = [], 0
    while place < num_places:
        places.append(place)
        place += 1
        level = num_places - 1 - place
        if jumps_left.get(level, 0) > 0:
            jumps_left[level] -= 1
            place -= length
    return places
