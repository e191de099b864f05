"""Walks that begin with a latent that is there already: image to image, masked sampling, RePaint."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.sampling.guidance import Condition, Denoiser, Guide
from ldm_lab.sampling.masked import Masked, Resampling
from ldm_lab.sampling.scheduler import Scheduler, planned, signal_and_noise_rates
from ldm_lab.sampling.steps import CONDITION_ALONE, Step, Walk, check_num_steps, check_seeds


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edit:
    """What is kept of a latent.

    Attributes:
        z_0: Scaled latents to begin with, one an image. (B, C, h, w)
        strength: Share of the steps that are walked: 0 keeps ``z_0``, 1 begins with noise alone. SDEdit (Meng et al.
            2022) calls it t_0.
        mask: 1 where the image is made anew, 0 where it is kept. None: everywhere anew. (B or 1, 1, h, w)
        resampling: How often the walk goes back to fit the new part to the known one; needs a mask.

    Raises:
        RequestError: If a value is out of range, or there is resampling without a mask.
        ShapeError: If the mask does not have the latents' size.
    """

    z_0: Tensor
    strength: float = setting(
        1.0, minimum=0.0, maximum=1.0, step=0.05, help="0: the image itself; 1: nothing of it is left."
    )
    mask: Tensor | None = None
    resampling: Resampling | None = None

    def __post_init__(self) -> None:
        check(self, error=RequestError)
        if self.z_0.ndim != 4:
            raise ShapeError(f"z_0 has shape {tuple(self.z_0.shape)}; expected (batch, channels, height, width)")
        if self.mask is not None:
            _check_mask(self.mask, self.z_0)
        elif self.resampling is not None:
            raise RequestError("resampling fits a repainted part to a known one; give a mask, or no resampling")


def edit_steps(
    model: Denoiser,
    cond: Condition,
    scheduler: Scheduler,
    edit: Edit,
    *,
    num_steps: int,
    seeds: Sequence[int],
    guidance: Guide = CONDITION_ALONE,
) -> Iterator[Step]:
    """Walk from a given latent, diffused as far as ``edit.strength`` says, back to a clean one.

    The noise is that of ``seeds``, so that strength 1 is ``sample_steps``, bit for bit; so is a mask full of ones, and
    one full of zeros ends with ``z_0``. Of n steps ``steps_walked`` are taken (diffusers rounds down where it takes the
    nearest number). If these are none, **there are no records, and the result is z_0**.

    Args:
        model: Network with its schedule.
        cond: Condition of each image, or None.
        scheduler: As for ``sample_steps``.
        edit: What is kept.
        num_steps: Steps of the whole walk, of which ``edit.strength`` is the share taken.
        seeds: One for each image.
        guidance: As for ``sample_steps``.

    Raises:
        RequestError: If a value cannot be served.
    """
    walk = edit_walk(model, cond, scheduler, edit, num_steps=num_steps, seeds=seeds, guidance=guidance)
    return iter(()) if walk is None else walk.steps()


def edit_walk(
    model: Denoiser,
    cond: Condition,
    scheduler: Scheduler,
    edit: Edit,
    *,
    num_steps: int,
    seeds: Sequence[int],
    guidance: Guide = CONDITION_ALONE,
) -> Walk | None:
    """The walk of ``edit_steps`` before it begins; None if it has no step.

    Raises:
        RequestError: If a value cannot be served.
    """
    check_num_steps(num_steps, largest=len(model.schedule))
    check_seeds(seeds)
    if len(edit.z_0) != len(seeds):
        raise RequestError(f"there are {len(seeds)} seeds for {len(edit.z_0)} latents; give one an image")
    plan = planned(scheduler, num_steps)
    index = _start_index(plan.timesteps, edit.strength)
    if index is None:
        return None
    start = None if index == 0 else (_diffused(model, plan, edit.z_0, seeds=seeds, index=index), index)
    if edit.mask is not None:
        scheduler = Masked(
            scheduler, model.schedule, z_0=edit.z_0, mask=edit.mask, seeds=tuple(seeds), resampling=edit.resampling
        )
    return Walk(
        model=model,
        cond=cond,
        scheduler=scheduler,
        num_steps=num_steps,
        seeds=seeds,
        shape=edit.z_0.shape[1:],
        guidance=guidance,
        start=start,
    )


def steps_walked(num_steps: int, strength: float) -> int:
    """How many of the steps a strength leaves to be walked: their share, to the nearest."""
    return math.floor(strength * num_steps + 0.5)


def _start_index(timesteps: Tensor, strength: float) -> int | None:
    """Position where a walk over ``timesteps`` (S,) of this strength begins; None if it takes no step.

    Second-order samplers visit some steps twice; the second visit begins what follows.
    """
    steps = timesteps.unique_consecutive()
    num_skipped = len(steps) - steps_walked(len(steps), strength)
    if num_skipped in (0, len(steps)):
        return None if num_skipped else 0
    return int((timesteps == steps[num_skipped]).nonzero()[-1])


def _diffused(model: Denoiser, plan: Scheduler, z_0: Tensor, *, seeds: Sequence[int], index: int) -> Tensor:
    """z_t at a position of a planned walk. (B, C, h, w)"""
    signal_rate, noise_rate = signal_and_noise_rates(plan, model.schedule)[index]
    z_0 = z_0.to(model.device, torch.promote_types(model.dtype, torch.float32))
    return signal_rate * z_0 + noise_rate * sample_noise(z_0.shape[1:], seeds).to(z_0)


def _check_mask(mask: Tensor, z_0: Tensor) -> None:
    batches = {1, len(z_0)}
    if mask.ndim != 4 or mask.shape[0] not in batches or mask.shape[1] != 1 or mask.shape[2:] != z_0.shape[2:]:
        raise ShapeError(
            f"mask has shape {tuple(mask.shape)}, the latents {tuple(z_0.shape)}; a mask for them has shape "
            f"(1 or {len(z_0)}, 1, {z_0.shape[2]}, {z_0.shape[3]})"
        )
    if not bool(((mask >= 0) & (mask <= 1)).all()):
        raise RequestError(f"mask holds values from {mask.min()} to {mask.max()}; 1 repaints, 0 keeps")
