"""Text to image: a sentence and a seed for each picture."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_pil
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Guidance, Step, make_scheduler, sample_steps
from ldm_lab.tasks.provenance import Origin, provenance_of
from ldm_lab.tasks.run import Outcome, Run
from ldm_lab.tasks.settings import TextToImageSettings

DECODE_BATCH = 8  # images decoded at once, because at the full resolution memory is largest

OnStep = Callable[[Step], Any]


@torch.no_grad()
def stream(model: LatentDiffusion, settings: TextToImageSettings) -> Iterator[Step]:
    """The walk of text to image, step by step; everything is checked before the first.

    Args:
        model: Conditioned on text.
        settings: ``None`` in them means the package's default.

    Raises:
        RequestError: If the model cannot serve the settings.
    """
    _check_reads_text(model)
    settings = settings.resolved(image_size=model.config.image_size)
    shape = model.latent_shape(settings.width, settings.height)
    scheduler = make_scheduler(settings.sampler, model.config.schedule, model.prediction)
    both = model.condition([settings.prompt, settings.negative_prompt])
    cond, negative = (both.select([i]).repeat(len(settings.seeds)) for i in (0, 1))
    guidance = Guidance(
        scale=settings.guidance_scale,
        rescale=settings.guidance_rescale,
        interval=settings.guidance_interval,
        negative=negative,
    )
    return sample_steps(
        model,
        cond,
        scheduler,
        num_steps=settings.num_steps,
        seeds=settings.seeds,
        shape=shape,
        guidance=guidance,
    )


def text_to_image(
    model: LatentDiffusion,
    settings: TextToImageSettings,
    *,
    defaults: TextToImageSettings | None = None,
    origin: Origin | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Make images from a sentence.

    Args:
        model: Conditioned on text.
        settings: What to make.
        defaults: What the model recommends where settings are None.
        origin: Name and digests of the model, for the record.
        on_step: Called with every step; if it returns False, the walk ends there and the run is partial.

    Raises:
        RequestError: If the model cannot serve the settings.
        NonFiniteImageError: If the model makes values that are not numbers.
    """
    begin = time.perf_counter()
    _check_reads_text(model)
    notes = _notes(model, settings)
    settings = settings.resolved(image_size=model.config.image_size, defaults=defaults)
    trajectory, stopped_after = _walk(stream(model, settings), on_step)
    last = trajectory[-1]
    pictures = _decode(model, last.z_next if stopped_after is None else last.z_0_pred)
    outcome = Outcome(
        images=tuple(pictures),
        trajectory=tuple(trajectory),
        notes=tuple(notes),
        stopped_after=stopped_after,
        provenance=provenance_of(model, origin or Origin()),
        duration_sec=time.perf_counter() - begin,
        decode=lambda z: _decode(model, z),
    )
    return Run(settings, lambda: outcome)


def _walk(steps: Iterator[Step], on_step: OnStep | None) -> tuple[list[Step], int | None]:
    """All steps, on the CPU, and how many they are if ``on_step`` stopped them."""
    trajectory: list[Step] = []
    for step in steps:
        trajectory.append(_on_cpu(step))
        if on_step is not None and on_step(step) is False:
            return trajectory, len(trajectory)
    return trajectory, None


def _on_cpu(step: Step) -> Step:
    tensors = {name: getattr(step, name).cpu() for name in ("z_t", "z_0_pred", "noise_pred", "z_next")}
    return dataclasses.replace(step, **tensors)


@torch.no_grad()
def _decode(model: LatentDiffusion, z: Tensor) -> list[Image.Image]:
    """Scaled latents → images. (B, C, h, w)"""
    return [image for part in z.to(model.device).split(DECODE_BATCH) for image in to_pil(model.decode(part))]


def _notes(model: LatentDiffusion, settings: TextToImageSettings) -> list[str]:
    """What the network will not see as it was meant."""
    notes = [] if clean_prompt(settings.prompt)[0] else ["the prompt is empty: the images are unconditional"]
    notes += model.conditioner.notes([settings.prompt])
    return notes + [f"negative prompt: {note}" for note in model.conditioner.notes([settings.negative_prompt])]


def _check_reads_text(model: LatentDiffusion) -> None:
    if model.conditioner is None or model.conditioner.null != "":
        kind = "is unconditional" if model.conditioner is None else "is conditioned on something else than text"
        raise RequestError(f"this model {kind}, so it cannot follow a prompt; load a text-to-image model")
