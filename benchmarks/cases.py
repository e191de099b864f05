"""What is timed inside one process: for every row, the same work done by ldm_lab and by diffusers."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from benchmarks.conversion import scheduler_settings
from benchmarks.peer_training import autoencoder_training_step, diffusion_training_step
from benchmarks.subject import Subject
from ldm_lab.autoencoders.objective import AutoencoderObjective, AutoencoderObjectiveConfig
from ldm_lab.conditioning import Conditioning
from ldm_lab.core.seeding import generator
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.diffusion import ObjectiveConfig
from ldm_lab.sampling import Guidance, make_scheduler
from ldm_lab.sampling.guidance import bind_guided
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.diffusion_objective import DiffusionObjective, Networks
from ldm_lab.training.ema import ExponentialAverage
from ldm_lab.training.optimiser import build_optimiser
from ldm_lab.training.presets import shapes_kl_f4, shapes_text

PROMPT = "a large red circle left of a small blue star on a white background"
IMAGES = 4
NUM_STEPS = 20
GUIDANCE = 4.0


@dataclass(frozen=True)
class Case:
    """One row. Each call does the work once; the first calls of both sides give the same result.

    Attributes:
        name: What a person asks for on the command line.
        title: What the table says.
        ours: With ldm_lab.
        theirs: With diffusers.
        tolerance: Largest difference of the results, in units of their largest magnitude.
    """

    name: str
    title: str
    ours: Callable[[], Tensor]
    theirs: Callable[[], Tensor]
    tolerance: float = 1e-4


@torch.no_grad()
def unet_step(subject: Subject) -> Case:
    """One guided evaluation of the network: condition and null condition for every image."""
    model, theirs = subject.pipeline.model, subject.theirs.unet
    cond, negative = model.condition([PROMPT] * IMAGES), model.condition([""] * IMAGES)
    z_t = torch.randn(IMAGES, *_latent_shape(subject), generator=generator("benchmark", "z_t"))
    timesteps = make_scheduler("dpm++2m", model.config.schedule, model.prediction).timesteps
    predict = bind_guided(model, cond, timesteps, Guidance(scale=GUIDANCE, negative=negative))
    both = Conditioning.cat([negative, cond])
    embeddings = {"encoder_hidden_states": both.context, "class_labels": both.vector}

    @torch.no_grad()
    def diffusers_step() -> Tensor:
        pred = theirs(torch.cat([z_t] * 2), timesteps[0], **embeddings).sample
        uncond, text = pred.chunk(2)
        return uncond + GUIDANCE * (text - uncond)

    ours = torch.no_grad()(lambda: predict(z_t, 0))
    return Case("unet-step", f"UNet step with guidance, {IMAGES} images", ours, diffusers_step)


def decode(subject: Subject) -> Case:
    """Latents to images."""
    model, vae = subject.pipeline.model, subject.theirs.vae
    z = torch.randn(IMAGES, *_latent_shape(subject), generator=generator("benchmark", "z"))

    ours = torch.no_grad()(lambda: model.decode(z))
    theirs = torch.no_grad()(lambda: vae.decode(z / vae.config.scaling_factor).sample)
    return Case("decode", f"autoencoder decode, {IMAGES} images", ours, theirs)


def text_to_image(subject: Subject) -> Case:
    """A sentence to PIL images."""
    settings = {"seeds": tuple(range(IMAGES)), "num_steps": NUM_STEPS, "guidance_scale": GUIDANCE}
    size = subject.pipeline.model.config.image_size

    def ours() -> Tensor:
        return _pixels(subject.pipeline.text_to_image(PROMPT, sampler="dpm++2m", **settings).images)

    def theirs() -> Tensor:
        return _pixels(subject.theirs(PROMPT, image_size=size, **settings))

    title = f"text to image, {IMAGES} images, {NUM_STEPS} steps"
    return Case("text-to-image", title, ours, theirs, tolerance=0.02)  # few grey levels after as many steps


def train_first_stage(subject: Subject) -> Case:
    """Forward, backward, clipping, AdamW and EMA of stage 1."""
    recipe = shapes_kl_f4()
    config = recipe.training
    source = ShapeScenes(size=recipe.data.crop or recipe.data.size)
    x = source.images(range(config.batch_size))
    stage1 = AutoencoderObjectiveConfig(
        pixel=recipe.objective.pixel,
        perceptual="none",
        regularisation_weight=recipe.objective.regularisation_weight,
        adversarial_weight=0.0,
    )
    autoencoder = copy.deepcopy(subject.pipeline.model.autoencoder)
    objective = AutoencoderObjective(autoencoder, stage1)
    update = _update(objective, autoencoder, config)
    x_ours = x.contiguous(memory_format=torch.channels_last)
    draws, their_draws = (map(lambda n: generator("benchmark", n), itertools.count()) for _ in "ab")
    their_step = autoencoder_training_step(copy.deepcopy(subject.theirs.vae), x, objective=stage1, config=config)
    return Case(
        "train-first-stage",
        f"training step of the first stage, {len(x)} images of {x.shape[2]} px",
        lambda: update(objective(x_ours, step=0, generator=next(draws)).total),
        lambda: their_step(next(their_draws)),
    )


def train_diffusion(subject: Subject) -> Case:
    """Forward, backward, clipping, AdamW and EMA of stage 2, text encoder included, on latents that are ready."""
    recipe, model = shapes_text(), subject.pipeline.model
    config = replace(recipe.training, optimiser="adamw")  # the peer knows no other
    networks = Networks(copy.deepcopy(model.unet), copy.deepcopy(model.conditioner))
    stage2 = ObjectiveConfig(prediction=model.prediction, min_snr_gamma=recipe.objective.min_snr_gamma)
    objective = DiffusionObjective(networks, model.schedule, stage2)
    update = _update(objective, networks, config)
    batch = _latent_batch(subject, config.batch_size)
    their_step = diffusion_training_step(
        copy.deepcopy(subject.theirs.unet),
        copy.deepcopy(model.conditioner),
        DDPMScheduler(**scheduler_settings(model.config.schedule, model.prediction)),
        objective=stage2,
        config=config,
    )
    return Case(
        "train-diffusion",
        f"training step of the diffusion model, {config.batch_size} latents",
        lambda: update(objective(**batch).total),
        lambda: their_step(**batch),
    )


CASES: dict[str, Callable[[Subject], Case]] = {
    "unet-step": unet_step,
    "decode": decode,
    "train-first-stage": train_first_stage,
    "train-diffusion": train_diffusion,
    "text-to-image": text_to_image,
}


def _latent_shape(subject: Subject) -> tuple[int, int, int]:
    model = subject.pipeline.model
    return model.latent_shape(model.config.image_size, model.config.image_size)


def _latent_batch(subject: Subject, size: int) -> dict[str, Any]:
    """Arguments of both training steps of stage 2."""
    draws = generator("benchmark", "batch")
    shape = (size, *_latent_shape(subject))
    captions = [caption.text for caption in ShapeScenes().captions(range(size))]
    return {
        "z_0": torch.randn(shape, generator=draws),
        "t": torch.randint(len(subject.pipeline.model.schedule), (size,), generator=draws),
        "noise": torch.randn(shape, generator=draws),
        "prepared": subject.pipeline.model.conditioner.prepare(captions),
    }


def _update(objective: nn.Module, averaged: nn.Module, config: TrainingConfig) -> Callable[[Tensor], Tensor]:
    """What the training loop does with a loss, with its own optimiser and average."""
    objective.train().to(memory_format=torch.channels_last)
    optimiser = build_optimiser(objective, config)
    average = ExponentialAverage(averaged, decay=config.ema_decay)

    def update(loss: Tensor) -> Tensor:
        loss.backward()
        nn.utils.clip_grad_norm_(objective.parameters(), config.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update()
        return loss.detach()

    return update


def _pixels(images: list) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).float()
