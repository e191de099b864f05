"""The reverse walk from noise to a latent, as a generator of frozen records."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ldm_lab.core.cancel import check_cancelled
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.core.seeding import generator, sample_noise
from ldm_lab.diffusion.prediction import clean_and_noise, from_clean_and_noise
from ldm_lab.sampling.guidance import Condition, Denoise, Denoiser, Guidance, Guide
from ldm_lab.sampling.scheduler import (
    Scheduler,
    advance,
    begin_at,
    expected_prediction,
    planned,
    signal_and_noise_rates,
    visited_steps,
)

LARGEST_SEED = 2**32 - 1

CONDITION_ALONE = Guidance()


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One evaluation of the network and the step taken with it.

    All latents are in the coordinates of the forward process, z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise, also
    for schedulers that work in others (Euler, Heun and LMS hold z_0 + noise level x noise).

    Attributes:
        index: Position in the walk; second-order samplers have more positions than steps.
        t: Step of the model's schedule; a float only if the scheduler visits places between the steps.
        z_t: What the network saw. (B, C, h, w)
        z_0_pred: The clean latent that the guided prediction states. (B, C, h, w)
        noise_pred: The noise that it states. (B, C, h, w)
        z_next: The next step's z_t; in the last step the result. (B, C, h, w)
        output: What the network said, after guidance: eps, z_0 or v, as it predicts. (B, C, h, w)
    """

    index: int
    t: int | float
    z_t: Tensor
    z_0_pred: Tensor
    noise_pred: Tensor
    z_next: Tensor
    output: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same record with every latent changed in the same way."""
        return replace(
            self,
            z_t=change(self.z_t),
            z_0_pred=change(self.z_0_pred),
            noise_pred=change(self.noise_pred),
            z_next=change(self.z_next),
            output=change(self.output),
        )


@torch.no_grad()
def sample_steps(
    model: Denoiser,
    cond: Condition,
    scheduler: Scheduler,
    *,
    num_steps: int,
    seeds: Sequence[int],
    shape: Sequence[int],
    guidance: Guide = CONDITION_ALONE,
    start: tuple[Tensor, int] | None = None,
) -> Iterator[Step]:
    """Walk from noise to latents, one record a step.

    Image i depends on ``seeds[i]`` alone: z_T is ``sample_noise(shape, seeds)``, and the noise that a stochastic
    sampler adds at position k is that of the stream (seed, k). Latents are kept in fp32 at least, whatever the
    network's dtype. The scheduler is copied, so one object serves many walks. Before each step it is asked whether the
    work was cancelled (``core.cancel``).

    Args:
        model: Network with its schedule; see ``Denoiser``.
        cond: Condition of each image, or None for an unconditional model.
        scheduler: From ``make_scheduler``, or any that speaks the protocol.
        num_steps: Steps asked for, 1 to the length of the model's schedule.
        seeds: One for each image, 0 to 2^32 - 1.
        shape: Shape of one latent. (C, h, w)
        guidance: How the condition is exaggerated.
        start: (z_t, index) to begin inside the walk, as a ``Step`` holds them. Multistep samplers lack history there.

    Raises:
        RequestError: If the number of steps, the seeds, the start or the batch sizes cannot be served.
        ConfigError: If the scheduler does not fit the model.
    """
    check_num_steps(num_steps, largest=len(model.schedule))
    check_seeds(seeds)
    if cond is not None and cond.batch_size != len(seeds):
        raise RequestError(f"there are {len(seeds)} seeds for {cond.batch_size} conditions; give one an image")
    scheduler = planned(scheduler, num_steps)
    first = 0 if start is None else _enter(scheduler, start[1])
    steps = visited_steps(scheduler, len(model.schedule))
    z = _first_sample(model, scheduler, seeds=seeds, shape=shape, start=start)
    predict = guidance.bind(model, cond, steps)
    return _walk(model, predict, scheduler, z, seeds=seeds, steps=steps, first=first)


@torch.no_grad()
def _walk(
    model: Denoiser,
    predict: Denoise,
    scheduler: Scheduler,
    z: Tensor,
    *,
    seeds: Sequence[int],
    steps: Tensor,
    first: int,
) -> Iterator[Step]:
    timesteps, expected = scheduler.timesteps, expected_prediction(scheduler)
    rates = signal_and_noise_rates(scheduler, model.schedule)
    z_t = scheduler.scale_model_input(z, timesteps[first])
    for index in range(first, len(steps)):
        check_cancelled()
        output = predict(z_t, index)
        z_0, noise = clean_and_noise(output, z_t, *rates[index], source=model.prediction)
        taken = output
        if expected != model.prediction:
            taken = from_clean_and_noise(z_0, noise, *rates[index], target=expected)
        generators = [generator("noise", seed, index) for seed in seeds]
        z = advance(scheduler, taken, timesteps[index], z, generator=generators).prev_sample
        z_next = z if index + 1 == len(steps) else scheduler.scale_model_input(z, timesteps[index + 1])
        yield Step(index, steps[index].item(), z_t, z_0, noise, z_next, output)
        z_t = z_next


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Walk:
    """A walk before it begins, for those who change where it begins or who is asked; see ``sample_steps``."""

    model: Denoiser
    cond: Condition
    scheduler: Scheduler
    num_steps: int
    seeds: Sequence[int]
    shape: Sequence[int]
    guidance: Guide = CONDITION_ALONE
    start: tuple[Tensor, int] | None = None

    def steps(self) -> Iterator[Step]:
        """Begin it.

        Raises:
            LdmLabError: As ``sample_steps`` does.
        """
        return sample_steps(
            self.model,
            self.cond,
            self.scheduler,
            num_steps=self.num_steps,
            seeds=self.seeds,
            shape=self.shape,
            guidance=self.guidance,
            start=self.start,
        )


def check_num_steps(num_steps: int, *, largest: int) -> None:
    """Refuse what is not an integer from 1 to ``largest``.

    Raises:
        RequestError: Naming the value.
    """
    if not _is_integer(num_steps) or not 1 <= num_steps <= largest:
        raise RequestError(f"num_steps is {num_steps!r}; it must be an integer from 1 to {largest}")


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse an empty list and anything that is not an integer from 0 to 2^32 - 1.

    Raises:
        RequestError: Naming the first bad value.
    """
    if len(seeds) == 0:
        raise RequestError("seeds is empty; give one seed for each image")
    for seed in seeds:
        if not _is_integer(seed) or not 0 <= seed <= LARGEST_SEED:
            raise RequestError(f"seed is {seed!r}; it must be an integer from 0 to {LARGEST_SEED}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _enter(scheduler: Scheduler, index: int) -> int:
    """Tell the scheduler where in its walk it begins."""
    positions = len(scheduler.timesteps)
    if not _is_integer(index) or not 0 <= index < positions:
        raise RequestError(f"start index is {index!r}; this walk has the positions 0 to {positions - 1}")
    begin_at(scheduler, index)
    return index


def _first_sample(
    model: Denoiser,
    scheduler: Scheduler,
    *,
    seeds: Sequence[int],
    shape: Sequence[int],
    start: tuple[Tensor, int] | None,
) -> Tensor:
    """Noise from the seeds, or the given z_t, in the scheduler's coordinates. (B, C, h, w)"""
    dtype = torch.promote_types(model.dtype, torch.float32)
    if start is None:
        return sample_noise(shape, seeds).to(model.device, dtype) * scheduler.init_noise_sigma
    z_t, index = start
    if z_t.shape != (len(seeds), *shape):
        raise ShapeError(f"start has shape {tuple(z_t.shape)}; {len(seeds)} seeds need {(len(seeds), *shape)}")
    scale = scheduler.scale_model_input(torch.ones(()), scheduler.timesteps[index])
    return z_t.to(model.device, dtype) / scale
