"""Stage 1: an autoencoder that later models share."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.linear_preview import fit_linear_preview
from ldm_lab.autoencoders.objective import AutoencoderObjective, AutoencoderObjectiveConfig
from ldm_lab.checkpoints import load_autoencoder, read_checkpoint, save_autoencoder
from ldm_lab.core.config import check, setting, to_dict
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.images import grid, to_pil
from ldm_lab.core.seeding import derive_seed, generator
from ldm_lab.data.crops import detailed_crops
from ldm_lab.data.order import stream_indices
from ldm_lab.data.source import DataConfig, open_source, source_identity, source_length
from ldm_lab.training.codebook import begin_on_data
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.latent_scale import latent_figures, measure_scale
from ldm_lab.training.start import copy_weights, portable

HEALTH_PIXELS, HEALTH_IMAGES = 64 * 64**2, 64  # figures are measured on 64 small images, or on fewer large ones
SHEET_IMAGES = 8
SCALE_BATCHES, PREVIEW_BATCHES, BATCH = 64, 4, 16  # of whole images
CODEBOOK_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """Everything that decides how a first stage comes out."""

    data: DataConfig = field(default_factory=DataConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    objective: AutoencoderObjectiveConfig = field(default_factory=AutoencoderObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    codebook: Literal["uniform", "from-data"] = setting(
        "uniform", help="VQ: where codes begin, near zero as in the reference, or on the first images"
    )

    trained: Literal["all", "decoder"] = setting(
        "all", help="Which part learns; 'decoder' keeps the latents, so that models of stage 2 stay right"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.codebook == "from-data" and not isinstance(self.autoencoder.bottleneck, VQConfig):
            raise ConfigError("codebook is 'from-data', but a KL bottleneck has no codes; leave it 'uniform'")


class AutoencoderStage:
    """The training problem of stage 1; see ``Stage``.

    Args:
        recipe: What to train and how.
        init_from: Folder of a native autoencoder of the same sizes, whose weights are the starting point.
    """

    def __init__(self, recipe: AutoencoderRecipe, *, init_from: str | Path | None = None) -> None:
        self.recipe = recipe
        self.source = open_source(recipe.data)
        self.length = source_length(self.source)
        torch.manual_seed(derive_seed(recipe.training.seed, "init"))
        self.objective = AutoencoderObjective(Autoencoder(recipe.autoencoder), recipe.objective)
        self.averaged = self.objective.autoencoder
        self.rests = self.objective.discriminator is not None  # until it plays
        self.identity = {
            "data": source_identity(recipe.data, self.source),
            "autoencoder": to_dict(recipe.autoencoder),
            "objective": to_dict(recipe.objective),
        }
        if recipe.codebook == "from-data":
            self.identity["codebook"] = recipe.codebook
            x = self.batch(0, CODEBOOK_IMAGES)["x"]
            begin_on_data(self.averaged, x, generator=generator(recipe.training.seed, "codebook"))
        if init_from is not None:
            self._begin_as(init_from)
        if recipe.trained == "decoder":
            self._keep_latents(init_from)

    def _begin_as(self, folder: str | Path) -> None:
        start = read_checkpoint(folder, kind="autoencoder")
        autoencoder = load_autoencoder(start)
        copy_weights(autoencoder, self.averaged, source=str(folder))
        self.averaged.config = replace(self.averaged.config, scale_factor=autoencoder.config.scale_factor)
        self.identity["init_from"] = start.digest

    def _keep_latents(self, init_from: str | Path | None) -> None:
        """Freeze all that decides what the latent of an image is."""
        if init_from is None:
            raise ConfigError("trained is 'decoder', but no trained encoder is given to go with it; add --init-from")
        self.identity["trained"] = self.recipe.trained
        for part in (self.averaged.encoder, self.averaged.quant_conv, self.averaged.quantize):
            part.requires_grad_(False)

    def batch(self, draw: int, size: int) -> dict[str, Any]:
        """Images and the generator of the posterior's noise."""
        seed = self.recipe.training.seed
        x = self.source.images(self._indices(draw, size))
        if self.recipe.data.crop is not None:
            x = detailed_crops(x, self.recipe.data.crop, generator=generator(seed, "crop", draw))
        x = x.contiguous(memory_format=torch.channels_last)
        return {"x": x, "generator": generator(seed, "posterior", draw)}

    def step_arguments(self, step: int) -> dict[str, Any]:
        """The step decides whether the discriminator plays."""
        return {"step": step}

    def figures(self) -> dict[str, float]:
        """Reconstruction error and latent statistics of the first images."""
        x = self._first_images
        posterior = self.averaged.encode(x)
        error = (self.averaged.decode(posterior.mode()).clamp(-1, 1) - x).square().mean(dim=(1, 2, 3))
        return {"psnr": (10 * torch.log10(4.0 / error)).mean().item()} | latent_figures(self.averaged, posterior)

    def sheet(self) -> Image.Image:
        """Originals above their reconstructions."""
        x = self._first_images[:SHEET_IMAGES]
        return grid([*to_pil(x), *to_pil(self.averaged(x))], columns=len(x))

    def export(self, folder: Path, *, provenance: dict[str, Any]) -> None:
        """Write the autoencoder, with the latents' scale and what they look like."""
        exported = copy.copy(self.averaged)  # same weights, a config of its own
        exported.linear_preview = fit_linear_preview(self.averaged, self._whole_images(PREVIEW_BATCHES))
        if self.recipe.trained == "all":
            exported.config = replace(self.averaged.config, scale_factor=self._scale())
        recipe = to_dict(portable(self.recipe)) | {"provenance": provenance}
        save_autoencoder(folder, exported, recipe=recipe, replace=True)

    def _scale(self) -> float:
        """The latents' scale, over many batches of whole images."""
        return measure_scale(self.averaged, self._whole_images(SCALE_BATCHES))

    def _whole_images(self, num_batches: int) -> Iterator[Tensor]:
        """The first batches; of a small data set as many as hold every image once."""
        there = num_batches if self.length is None else -(-self.length // BATCH)
        for draw in range(min(num_batches, there)):
            yield self.source.images(self._indices(draw, BATCH)).to(self._device)

    def _indices(self, draw: int, size: int) -> list[int]:
        return stream_indices(draw * size, size, length=self.length, seed=self.recipe.training.seed)

    @property
    def _device(self) -> torch.device:
        return next(self.averaged.parameters()).device

    @cached_property
    def _first_images(self) -> Tensor:
        count = max(SHEET_IMAGES, min(HEALTH_IMAGES, HEALTH_PIXELS // self.recipe.data.size**2))
        return self.source.images(range(min(count, self.length or count))).to(self._device)
