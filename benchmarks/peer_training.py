"""Training steps as diffusers' scripts write them: its models and EMA, PyTorch's AdamW as it comes."""

from collections.abc import Callable

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.training_utils import EMAModel, compute_snr
from torch import Tensor, nn

from ldm_lab.autoencoders.objective import AutoencoderObjectiveConfig
from ldm_lab.diffusion import ObjectiveConfig
from ldm_lab.training.config import TrainingConfig


def autoencoder_training_step(
    vae: AutoencoderKL, x: Tensor, *, objective: AutoencoderObjectiveConfig, config: TrainingConfig
) -> Callable[[torch.Generator], Tensor]:
    """One step of stage 1 without perceptual and adversarial terms; the result returns its loss."""
    vae.train()
    optimizer = torch.optim.AdamW(
        vae.parameters(), lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
    )
    ema = EMAModel(vae.parameters(), decay=config.ema_decay)

    def step(generator: torch.Generator) -> Tensor:
        posterior = vae.encode(x).latent_dist
        difference = vae.decode(posterior.sample(generator)).sample - x
        pixel = difference.abs().mean() if objective.pixel == "l1" else difference.square().mean()
        loss = pixel + objective.regularisation_weight * posterior.kl().mean() / x[0].numel()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(vae.parameters())
        return loss.detach()

    return step


def diffusion_training_step(
    unet: UNet2DConditionModel,
    conditioner: nn.Module,
    noise_scheduler: DDPMScheduler,
    *,
    objective: ObjectiveConfig,
    config: TrainingConfig,
) -> Callable[..., Tensor]:
    """One step of stage 2 on latents that are ready, as in diffusers' train_text_to_image.py; returns its loss."""
    unet.train()
    parameters = [*unet.parameters(), *conditioner.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
    )
    ema = EMAModel(parameters, decay=config.ema_decay)

    def step(*, z_0: Tensor, noise: Tensor, t: Tensor, prepared: dict[str, Tensor]) -> Tensor:
        is_velocity = noise_scheduler.config.prediction_type == "v_prediction"
        target = noise_scheduler.get_velocity(z_0, noise, t) if is_velocity else noise
        cond = conditioner(prepared)
        noisy = noise_scheduler.add_noise(z_0, noise, t)
        model_pred = unet(noisy, t, encoder_hidden_states=cond.context, class_labels=cond.vector).sample
        loss = nn.functional.mse_loss(model_pred.float(), target.float(), reduction="none")
        loss = (loss.mean(dim=(1, 2, 3)) * _weights(noise_scheduler, t, objective)).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(parameters)
        return loss.detach()

    return step


def _weights(noise_scheduler: DDPMScheduler, timesteps: Tensor, objective: ObjectiveConfig) -> Tensor:
    """Min-SNR weights, as the script computes them."""
    if objective.min_snr_gamma is None:
        return torch.ones(len(timesteps))
    snr = compute_snr(noise_scheduler, timesteps)
    divisor = snr + 1 if noise_scheduler.config.prediction_type == "v_prediction" else snr
    return snr.clamp(max=objective.min_snr_gamma) / divisor
