"""Stage 1: an autoencoder that later models share."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.objective import AutoencoderObjective, AutoencoderObjectiveConfig
from ldm_lab.checkpoints import save_autoencoder
from ldm_lab.core.config import check, to_dict
from ldm_lab.core.images import grid, to_pil
from ldm_lab.core.seeding import derive_seed, generator
from ldm_lab.data.crops import detailed_crops
from ldm_lab.data.order import stream_indices
from ldm_lab.data.source import DataConfig, open_source, source_length
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.latent_scale import latent_figures, with_measured_scale

HEALTH_IMAGES = 64
SHEET_IMAGES = 8


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """Everything that decides how a first stage comes out."""

    data: DataConfig = field(default_factory=DataConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    objective: AutoencoderObjectiveConfig = field(default_factory=AutoencoderObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check(self)


class AutoencoderStage:
    """The training problem of stage 1; see ``Stage``."""

    def __init__(self, recipe: AutoencoderRecipe) -> None:
        self.recipe = recipe
        self.source = open_source(recipe.data)
        self.length = source_length(self.source)
        torch.manual_seed(derive_seed(recipe.training.seed, "init"))
        self.objective = AutoencoderObjective(Autoencoder(recipe.autoencoder), recipe.objective)
        self.averaged = self.objective.autoencoder
        self.identity = {
            "data": to_dict(recipe.data) | {"length": self.length},
            "autoencoder": to_dict(recipe.autoencoder),
            "objective": to_dict(recipe.objective),
        }

    def batch(self, draw: int, size: int) -> dict[str, Any]:
        """Images and the generator of the posterior's noise."""
        seed = self.recipe.training.seed
        indices = stream_indices(draw * size, size, length=self.length, seed=seed)
        x = self.source.images(indices)
        if self.recipe.data.crop is not None:
            x = detailed_crops(x, self.recipe.data.crop, generator=generator(seed, "crop", draw))
        x = x.contiguous(memory_format=torch.channels_last)
        return {"x": x, "generator": generator(seed, "posterior", draw)}

    def step_arguments(self, step: int) -> dict[str, Any]:
        """The step decides whether the discriminator plays."""
        return {"step": step}

    def figures(self) -> dict[str, float]:
        """Reconstruction error and latent statistics of images that are kept for it."""
        x = self._health_images
        posterior = self.averaged.encode(x)
        error = (self.averaged.decode(posterior.mode()).clamp(-1, 1) - x).square().mean(dim=(1, 2, 3))
        return {"psnr": (10 * torch.log10(4.0 / error)).mean().item()} | latent_figures(self.averaged, posterior)

    def sheet(self) -> Image.Image:
        """Originals above their reconstructions."""
        x = self._health_images[:SHEET_IMAGES]
        return grid([*to_pil(x), *to_pil(self.averaged(x))], columns=SHEET_IMAGES)

    def export(self, folder: Path, *, provenance: dict[str, Any]) -> None:
        """Measure the latent scale and write the autoencoder."""
        batches = (self.source.images(indices).to(self._device) for indices in self._scale_batches())
        autoencoder = with_measured_scale(self.averaged, batches)
        save_autoencoder(folder, autoencoder, recipe=to_dict(self.recipe) | {"provenance": provenance}, replace=True)

    def _scale_batches(self) -> list[list[int]]:
        """Whole images, however training cuts them: 64 batches of 16."""
        return [stream_indices(16 * i, 16, length=self.length, seed=self.recipe.training.seed) for i in range(64)]

    @property
    def _device(self) -> torch.device:
        return next(self.averaged.parameters()).device

    @cached_property
    def _health_images(self) -> Tensor:
        count = HEALTH_IMAGES if self.length is None else min(HEALTH_IMAGES, self.length)
        return self.source.images(range(count)).to(self._device)
