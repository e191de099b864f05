"""Guidance taken apart: what the network says with the condition, without it, and what the difference does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule, Prediction
from ldm_lab.diffusion.prediction import clean_and_noise
from ldm_lab.model import LatentDiffusion
from ldm_lab.probes.hooks import hooked
from ldm_lab.sampling import Step, guide
from ldm_lab.unet.evaluation import Evaluation

PRIOR_LIMIT = 4.0  # standard deviations; of N(0, 1), which latents are scaled to, 6 values in 100,000 lie beyond


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GuidanceStep:
    """The two predictions of one step.

    Attributes:
        index: Position in the walk, that of the ``Step``.
        t: Step of the model's schedule.
        z_t: What the network saw, in fp32 at least. (B, C, h, w)
        negative: Its prediction under the negative condition; without a negative prompt, the unconditional one.
        positive: Its prediction under the condition.
        prediction: What kind they are: eps, z_0 or v.
        signal_rate: sqrt(abar_t).
        noise_rate: sqrt(1 - abar_t).
    """

    index: int
    t: int | float
    z_t: Tensor
    negative: Tensor
    positive: Tensor
    prediction: Prediction
    signal_rate: float
    noise_rate: float

    def noise(self) -> tuple[Tensor, Tensor]:
        """eps under the negative condition and under the condition, whatever the network predicts; (B, C, h, w)."""
        return self._clean_and_noise(self.negative)[1], self._clean_and_noise(self.positive)[1]

    def difference(self) -> Tensor:
        """eps under the condition minus eps under the negative one: the direction of guidance. (B, C, h, w)"""
        negative, positive = self.noise()
        return positive - negative

    def norms(self) -> dict[str, Tensor]:
        """Root mean square of ``negative``, ``positive`` (as eps) and ``difference``; pure noise has 1. (B,) each"""
        negative, positive = self.noise()
        parts = {"negative": negative, "positive": positive, "difference": positive - negative}
        return {name: part.flatten(1).square().mean(1).sqrt() for name, part in parts.items()}

    def z_0(self, *, scale: float, rescale: float = 0.0) -> Tensor:
        """The clean latent that guidance of this strength predicts; see ``ldm_lab.sampling.guide``. (B, C, h, w)"""
        return self._clean_and_noise(guide(self.negative, self.positive, scale=scale, rescale=rescale))[0]

    def clipped_share(self, *, scale: float, rescale: float = 0.0, limit: float = PRIOR_LIMIT) -> Tensor:
        """Share of the values of ``z_0`` that lie beyond the limit, where the decoder was never trained. (B,)"""
        return clipped_share(self.z_0(scale=scale, rescale=rescale), limit=limit)

    def _clean_and_noise(self, output: Tensor) -> tuple[Tensor, Tensor]:
        return clean_and_noise(output, self.z_t, self.signal_rate, self.noise_rate, source=self.prediction)


@dataclass(slots=True, eq=False)
class GuidanceRecording:
    """What was recorded so far.

    Attributes:
        steps: One record for each evaluation with two predictions; where guidance does not act, there is none.
    """

    steps: list[GuidanceStep] = field(default_factory=list)

    def norms(self) -> dict[str, Tensor]:
        """``GuidanceStep.norms`` over the steps. (S, B) each

        Raises:
            RequestError: If nothing was recorded.
        """
        if not self.steps:
            raise RequestError(
                "no guidance was recorded; let a walk with a guidance scale other than 1 run inside the with block"
            )
        each = [step.norms() for step in self.steps]
        return {name: torch.stack([norms[name] for norms in each]) for name in each[0]}


@contextmanager
def record_guidance(model: LatentDiffusion) -> Iterator[GuidanceRecording]:
    """Keep both predictions of every guided step while a walk runs inside the block.

    It keeps three latents a step, (B, C, h, w) each in fp32, on the model's device.

    Args:
        model: Whose UNet walks.

    Yields:
        The recording.
    """
    recording = GuidanceRecording()

    def see(_module: nn.Module, inputs: tuple, output: Tensor) -> None:
        z_t, evaluation = inputs[:2]
        if evaluation.copies == 2:
            recording.steps.append(_taken_apart(model, z_t, output, evaluation))

    def register() -> Iterator[RemovableHandle]:
        yield model.unet.evaluation_point.register_forward_hook(see)

    with hooked(register()):
        yield recording


@torch.no_grad()
def decompose_guidance(model: LatentDiffusion, step: Step, cond: Conditioning, negative: Conditioning) -> GuidanceStep:
    """Take a stored step apart, at the cost of two evaluations of the network in one batch.

    Args:
        model: That made it.
        step: Of a walk, live or stored.
        cond: Condition of each image.
        negative: What guidance moves away from: the null condition, or that of a negative prompt.

    Raises:
        RequestError: If the batch sizes differ.
    """
    sizes = {"latents": len(step.z_t), "conditions": cond.batch_size, "negative conditions": negative.batch_size}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{count} {name}" for name, count in sizes.items())
        raise RequestError(f"there are {found}; give one of each an image")
    timesteps = torch.tensor([step.t])
    z_t = step.z_t.to(model.device)
    denoise = model.bind(Conditioning.cat([negative, cond]), timesteps, copies=2)
    output = denoise(z_t.to(model.dtype), 0)
    return _taken_apart(model, z_t, output, Evaluation(index=0, timesteps=timesteps, copies=2), index=step.index)


def clipped_share(values: Tensor, *, limit: float = PRIOR_LIMIT) -> Tensor:
    """Share of values beyond -limit and limit, for each image; with limit 1 for decoded images. (B, ...) → (B,)"""
    return (values.abs() > limit).flatten(1).double().mean(1)


def _taken_apart(
    model: LatentDiffusion, z_t: Tensor, output: Tensor, evaluation: Evaluation, *, index: int | None = None
) -> GuidanceStep:
    dtype = torch.promote_types(z_t.dtype, torch.float32)
    negative, positive = output.detach().to(dtype).chunk(2)
    t = evaluation.timesteps[evaluation.index].item()
    signal_rate, noise_rate = _rates(model.schedule, t)
    return GuidanceStep(
        index=evaluation.index if index is None else index,
        t=t,
        z_t=z_t.detach().to(dtype),
        negative=negative,
        positive=positive,
        prediction=model.prediction,
        signal_rate=signal_rate,
        noise_rate=noise_rate,
    )


def _rates(schedule: NoiseSchedule, t: int | float) -> tuple[float, float]:
    """sqrt(abar_t) and sqrt(1 - abar_t); between whole steps the logarithm of noise over signal is taken as straight.

    So are the places of diffusers' schedulers that choose noise levels, and those of latents of another scale.
    """
    abar = schedule.alphas_cumprod
    if t != int(t):
        levels = ((1.0 - abar) / abar).sqrt().numpy()
        level = float(np.exp(np.interp(t, np.arange(len(abar)), np.log(levels))))
        return (1.0 + level**2) ** -0.5, level * (1.0 + level**2) ** -0.5
    here = abar[int(t)]
    return here.sqrt().item(), (1.0 - here).sqrt().item()
