"""Stage 2: a diffusion model in the latent space of a finished first stage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.autoencoders.bottlenecks import GaussianPosterior
from ldm_lab.checkpoints import load_autoencoder, locate_first_stage, reference_to, save_model
from ldm_lab.conditioning import (
    ClassLabelConfig,
    ConditionerConfig,
    TextTransformerConfig,
    build_conditioner,
    drop_conditions,
    train_tokenizer,
)
from ldm_lab.core.config import check, setting, to_dict
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.images import grid, to_pil
from ldm_lab.core.seeding import derive_seed, generator
from ldm_lab.data.latent_store import LatentStore, build_latent_store, open_latent_store
from ldm_lab.data.order import epoch_of, stream_indices
from ldm_lab.data.source import ConditionKind, DataConfig, conditions, open_source, source_length
from ldm_lab.diffusion import ObjectiveConfig, ScheduleConfig
from ldm_lab.model import LatentDiffusion, LatentDiffusionConfig
from ldm_lab.sampling import Guidance, make_scheduler, sample_steps
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.diffusion_objective import DiffusionObjective, Networks
from ldm_lab.unet.config import UNetConfig
from ldm_lab.unet.unet import UNet

SHEET_IMAGES = 8
TOKENIZER_CAPTIONS = 20_000


@dataclass(frozen=True, kw_only=True)
class DiffusionRecipe:
    """Everything that decides how a diffusion model comes out."""

    data: DataConfig = field(default_factory=DataConfig)
    first_stage: str = setting("shapes-kl-f4", help="Name of a shipped first stage, or its folder")
    num_examples: int = setting(65_536, help="Examples encoded of an endless data set", minimum=1)
    unet: UNetConfig = field(default_factory=UNetConfig)
    conditioner: ConditionerConfig | None = None
    condition_dropout: float = setting(0.1, help="Share of conditions replaced by none", minimum=0.0, maximum=1.0)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    sheet_guidance: float = setting(3.0, help="Guidance scale of sample sheets and default of the model", minimum=0.0)

    def __post_init__(self) -> None:
        check(self)

    @property
    def condition(self) -> ConditionKind:
        """What is asked of the data set."""
        if self.conditioner is None:
            return "none"
        return "class" if isinstance(self.conditioner, ClassLabelConfig) else "caption"


class DiffusionStage:
    """The training problem of stage 2; see ``Stage``. Call ``prepare`` before training."""

    def __init__(self, recipe: DiffusionRecipe) -> None:
        self.recipe = recipe
        self.source = open_source(recipe.data)
        self.length = source_length(self.source) or recipe.num_examples
        folder = locate_first_stage(recipe.first_stage)
        self.first_stage = reference_to(folder, path=str(folder.resolve()))
        autoencoder = load_autoencoder(folder).requires_grad_(False)
        torch.manual_seed(derive_seed(recipe.training.seed, "init"))
        conditioner_config, conditioner = self._build_conditioner()
        unet = UNet(recipe.unet)
        config = LatentDiffusionConfig(
            autoencoder=autoencoder.config,
            unet=recipe.unet,
            conditioner=conditioner_config,
            schedule=recipe.schedule,
            prediction=recipe.objective.prediction,
            image_size=recipe.data.size,
        )
        self.model = LatentDiffusion(config, autoencoder=autoencoder, unet=unet, conditioner=conditioner)
        self.averaged = Networks(unet, conditioner)
        self.objective = DiffusionObjective(self.averaged, self.model.schedule, recipe.objective)
        self.store: LatentStore | None = None
        self.identity = {"recipe": to_dict(replace(recipe, training=TrainingConfig()))} | {
            "first_stage_digest": self.first_stage.digest,
            "length": self.length,
        }

    def prepare(self, folder: str | Path) -> Iterator[int]:
        """Encode the data set into a store in ``folder``; yields how many examples are done, of ``self.length``."""
        identity = {"first_stage": self.first_stage.digest, "data": to_dict(self.recipe.data)}
        yield from build_latent_store(folder, self._moments, length=self.length, identity=identity)
        self.store = open_latent_store(folder)

    def batch(self, draw: int, size: int) -> dict[str, Any]:
        """Fresh latents from the store, steps, noise, and conditions of which some are dropped."""
        assert self.store is not None, "call prepare() first"
        seed = self.recipe.training.seed
        indices = stream_indices(draw * size, size, length=self.length, seed=seed)
        posterior = GaussianPosterior(*self.store.moments(indices))
        z_0 = self.model.scale_factor * posterior.sample(generator(seed, "posterior", draw))
        t = torch.randint(len(self.model.schedule), (size,), generator=generator(seed, "t", draw))
        noise = torch.randn(z_0.shape, generator=generator(seed, "noise", draw))
        return {"z_0": z_0, "t": t, "noise": noise} | self._offset(z_0, draw) | self._prepared(indices, draw)

    def step_arguments(self, step: int) -> dict[str, Any]:
        """Nothing depends on the step."""
        return {}

    def figures(self) -> dict[str, float]:
        """Spread of the scaled latents, which should be near one."""
        assert self.store is not None, "call prepare() first"
        mean, _ = self.store.moments(range(min(256, self.length)))
        z = self.model.scale_factor * mean
        spread = {f"latent_std_{channel}": float(value) for channel, value in enumerate(z.std(dim=(0, 2, 3)))}
        return {"latent_std": z.std().item()} | spread

    def sheet(self) -> Image.Image:
        """Samples for the first examples' conditions, from fixed seeds."""
        count = min(SHEET_IMAGES, self.length)
        y = self._conditions(range(count), variant=0)
        model, seeds = self.model.to(self.objective_device), list(range(count))
        scheduler = make_scheduler("dpm++2m", self.recipe.schedule, self.recipe.objective.prediction)
        guidance = Guidance() if model.conditioner is None else self._guidance(count)
        shape = model.latent_shape(self.recipe.data.size, self.recipe.data.size)
        steps = sample_steps(
            model, model.condition(y), scheduler, num_steps=20, seeds=seeds, shape=shape, guidance=guidance
        )
        *_, last = steps
        return grid(to_pil(model.decode(last.z_next)), columns=4)

    def export(self, folder: Path, *, provenance: dict[str, Any]) -> None:
        """Write UNet and conditioner beside a reference to the first stage."""
        recipe = to_dict(self.recipe) | {"provenance": provenance}
        defaults = {"guidance_scale": self.recipe.sheet_guidance} if self.recipe.conditioner is not None else {}
        save_model(folder, self.model, first_stage=self.first_stage, recipe=recipe, defaults=defaults, replace=True)

    @property
    def objective_device(self) -> torch.device:
        """Where the networks are being trained."""
        return next(self.averaged.parameters()).device

    def _build_conditioner(self) -> tuple[ConditionerConfig | None, Any]:
        """The conditioner; a text transformer gets a tokenizer trained on the captions, and its true vocabulary size."""
        config = self.recipe.conditioner
        tokenizer = None
        if isinstance(config, TextTransformerConfig):
            captions = self._conditions(range(min(self.length, TOKENIZER_CAPTIONS)), variant=0)
            tokenizer = train_tokenizer(captions, vocab_size=config.vocab_size)
            config = replace(config, vocab_size=tokenizer.get_vocab_size())
        conditioner = build_conditioner(config, tokenizer=tokenizer)
        width = None if conditioner is None else conditioner.context_dim
        if width != self.recipe.unet.context_dim:
            raise ConfigError(
                f"the UNet has context_dim={self.recipe.unet.context_dim}, but the conditioner gives {width}; make them equal"
            )
        return config, conditioner

    @torch.no_grad()
    def _moments(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        autoencoder = self.model.autoencoder.to(self.objective_device)
        posterior = autoencoder.encode(self.source.images(indices).to(self.objective_device))
        mean, logvar = posterior.moments()
        return mean.cpu(), logvar.cpu()

    def _conditions(self, indices: Sequence[int], *, variant: int) -> list[Any]:
        return conditions(self.source, indices, kind=self.recipe.condition, variant=variant)

    def _prepared(self, indices: Sequence[int], draw: int) -> dict[str, Any]:
        """Conditions of a batch, phrased anew in every epoch."""
        conditioner = self.model.conditioner
        if conditioner is None:
            return {}
        seed = self.recipe.training.seed
        y = self._conditions(indices, variant=epoch_of(draw * len(indices), length=self.length))
        y = drop_conditions(y, conditioner.null, self.recipe.condition_dropout, generator(seed, "drop", draw))
        return {"prepared": conditioner.prepare(y)}

    def _offset(self, z_0: Tensor, draw: int) -> dict[str, Tensor]:
        if self.recipe.objective.offset_noise == 0.0:
            return {}
        shape = (*z_0.shape[:2], 1, 1)
        return {"offset": torch.randn(shape, generator=generator(self.recipe.training.seed, "offset", draw))}

    def _guidance(self, count: int) -> Guidance:
        assert self.model.conditioner is not None
        negative = self.model.condition([self.model.conditioner.null] * count)
        return Guidance(scale=self.recipe.sheet_guidance, negative=negative)
