"""Text to image by hand with diffusers' classes; imports no more than such a script needs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from ldm_lab.conditioning import TextTransformerConfig, build_conditioner
from ldm_lab.core.seeding import sample_noise


@dataclass
class TextToImage:
    """The loop that diffusers' documentation writes out, around our text encoder, which diffusers does not have."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler: DPMSolverMultistepScheduler
    conditioner: nn.Module

    def save_pretrained(self, folder: Path) -> None:
        """As diffusers saves its models; the text encoder beside them."""
        for name in ("unet", "vae", "scheduler"):
            getattr(self, name).save_pretrained(folder / name)
        save_file(self.conditioner.state_dict(), folder / "text.safetensors")
        (folder / "text.json").write_text(json.dumps(asdict(self.conditioner.config)))
        (folder / "tokenizer.json").write_text(self.conditioner.tokenizer.to_str())

    @classmethod
    def from_pretrained(cls, folder: Path) -> "TextToImage":
        """As diffusers loads its models."""
        config = TextTransformerConfig(**json.loads((folder / "text.json").read_text()))
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text())
        conditioner = build_conditioner(config, tokenizer=tokenizer)
        conditioner.load_state_dict(load_file(folder / "text.safetensors"))
        return cls(
            UNet2DConditionModel.from_pretrained(folder / "unet"),
            AutoencoderKL.from_pretrained(folder / "vae"),
            DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler"),
            conditioner.eval(),
        )

    @torch.no_grad()
    def __call__(
        self, prompt: str, *, seeds: Sequence[int], num_steps: int, guidance_scale: float, image_size: int
    ) -> list[Image.Image]:
        side = image_size // 2 ** (len(self.vae.config.block_out_channels) - 1)
        latents = sample_noise((self.vae.config.latent_channels, side, side), seeds)
        cond = self.conditioner.encode([""] * len(seeds) + [prompt] * len(seeds))
        embeddings = {"encoder_hidden_states": cond.context, "class_labels": cond.vector}
        self.scheduler.set_timesteps(num_steps)
        latents = latents * self.scheduler.init_noise_sigma
        for t in self.scheduler.timesteps:
            latent_model_input = self.scheduler.scale_model_input(torch.cat([latents] * 2), timestep=t)
            noise_pred = self.unet(latent_model_input, t, **embeddings).sample
            noise_pred_uncond, noise_pred_text = noise_pred.chunk(2)
            noise_pred = noise_pred_uncond + guidance_scale * (noise_pred_text - noise_pred_uncond)
            latents = self.scheduler.step(noise_pred, t, latents).prev_sample
        image = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return VaeImageProcessor().postprocess(image)
