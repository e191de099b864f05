"""Stage 2: a diffusion model in the latent space of a finished first stage."""

import hashlib
import os
import warnings
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import GaussianPosterior
from ldm_lab.checkpoints import (
    ZOO,
    Checkpoint,
    FirstStageReference,
    load_autoencoder,
    load_model,
    locate_first_stage,
    locate_model,
    read_checkpoint,
    reference_of,
    reference_to,
    save_model,
)
from ldm_lab.conditioning import drop_conditions
from ldm_lab.core.config import to_dict
from ldm_lab.core.images import grid, to_pil
from ldm_lab.core.layout import Layout
from ldm_lab.core.runtime import choose_device
from ldm_lab.core.seeding import derive_seed, generator
from ldm_lab.data.latent_store import LatentStore, build_latent_store, open_latent_store
from ldm_lab.data.order import epoch_of, stream_indices
from ldm_lab.data.source import caption_corpus, conditions, open_source, source_identity, source_length
from ldm_lab.diffusion import draw_steps
from ldm_lab.model import LatentDiffusion, LatentDiffusionConfig
from ldm_lab.sampling import Guidance, make_scheduler, sample_steps
from ldm_lab.training.conditioner_choice import build_for, check_widths
from ldm_lab.training.diffusion_objective import DiffusionObjective, Networks
from ldm_lab.training.diffusion_recipe import DiffusionRecipe, fit_to_data
from ldm_lab.training.emphasis import check_names, emphasis_on
from ldm_lab.training.grounding import Grounding, Names, grounding_target, words_of
from ldm_lab.training.recognition import Recognition, recognition_target
from ldm_lab.training.start import fine_tune_from, portable
from ldm_lab.unet.unet import UNet

SHEET_IMAGES = 8
HEALTH_LATENTS = 256
TOKENIZER_EXAMPLES = 20_000


class DiffusionStage:
    """The training problem of stage 2; see ``Stage``. Call ``prepare`` before training.

    Args:
        recipe: What to train and how.
        init_from: A shipped name, or the folder of a native latent diffusion model, whose weights are the starting
            point, with its words and classes where they agree. Warns of what is not taken over.
    """

    rests = False

    def __init__(self, recipe: DiffusionRecipe, *, init_from: str | Path | None = None) -> None:
        self.source = open_source(recipe.data)
        if recipe.emphasis_weight > 0:
            check_names(recipe.emphatic_names, words_of(self.source, weight="emphasis_weight"))
        self.length = source_length(self.source) or recipe.num_examples
        self.store: LatentStore | None = None
        self.first_stage_folder = locate_first_stage(recipe.first_stage)
        self.first_stage = reference_to(self.first_stage_folder)
        autoencoder = load_autoencoder(self.first_stage_folder).requires_grad_(False)
        self.recipe = fit_to_data(recipe, self.source, autoencoder.config)
        start = None if init_from is None else read_checkpoint(locate_model(init_from), kind="latent_diffusion")
        self.model = self._build_model(autoencoder, start)
        self.averaged = Networks(self.model.unet, self.model.conditioner)
        self.names, self.words = self._names(), self._words()
        self.objective = DiffusionObjective(
            self.averaged,
            self.model.schedule,
            recipe.objective,
            grounding=self._grounding(),
            grounding_weight=recipe.grounding_weight,
            recognition=self._recognition(),
            recognition_weight=recipe.recognition_weight,
        )
        self.identity = self._identity() | ({} if start is None else {"init_from": start.digest})

    def prepare(self, folder: str | Path, *, device: str = "auto") -> Generator[int, None, None]:
        """Encode the data set into a store in ``folder``; yields how many examples are done, of ``self.length``."""
        self.model.autoencoder.to(choose_device(device))
        is_shared = int(os.environ.get("WORLD_SIZE", "1")) > 1  # one process builds, the others wait
        yield from build_latent_store(
            folder,
            self._moments,
            length=self.length,
            identity={"first_stage": self.first_stage.digest, "data": self._picture_identity()},
            patience_sec=-1 if is_shared else 0,
        )
        self.store = open_latent_store(folder)

    def batch(self, draw: int, size: int) -> dict[str, Any]:
        """Fresh latents from the store, steps, noise, and conditions of which some are dropped."""
        seed = self.recipe.training.seed
        indices = stream_indices(draw * size, size, length=self.length, seed=seed)
        z_0 = self._latents(indices, draw)
        t = draw_steps(size, self.model.schedule, generator(seed, "t", draw), shift=self.recipe.timestep_shift)
        noise = torch.randn(z_0.shape, generator=generator(seed, "noise", draw))
        asked = self._prepared(indices, draw)
        return (
            {"z_0": z_0, "t": t, "noise": noise}
            | self._offset(z_0, draw)
            | asked
            | self._told_by_boxes(indices, t, asked, z_0)
        )

    def _latents(self, indices: Sequence[int], draw: int) -> Tensor:
        """Scaled latents of some examples. (B, C, h, w)"""
        posterior = GaussianPosterior(*self._prepared_store.moments(indices))
        if self.recipe.posterior == "mode":
            return self.model.scale_factor * posterior.mode()
        return self.model.scale_factor * posterior.sample(generator(self.recipe.training.seed, "posterior", draw))

    def step_arguments(self, step: int) -> dict[str, Any]:
        """Nothing depends on the step."""
        return {}

    def figures(self) -> dict[str, float]:
        """Spread of the scaled latents, which should be near one, and spread and centre of each channel."""
        mean, _ = self._prepared_store.moments(range(min(HEALTH_LATENTS, self.length)))
        z = self.model.scale_factor * mean
        health = {"latent_std": z.std().item()}
        for channel, values in enumerate(z.unbind(1)):
            health |= {f"latent_std_{channel}": values.std().item(), f"latent_mean_{channel}": values.mean().item()}
        return health

    def sheet(self) -> Image.Image:
        """Samples for the first examples' conditions, from fixed seeds."""
        count = min(SHEET_IMAGES, self.length)
        model = self.model.to(next(self.averaged.parameters()).device)
        scheduler = make_scheduler("dpm++2m", self.recipe.schedule, self.recipe.objective.prediction)
        shape = self._prepared_store.moments([0])[0].shape[1:]
        cond = model.condition(self._conditions(range(count), variant=0))
        *_, last = sample_steps(
            model, cond, scheduler, num_steps=20, seeds=range(count), shape=shape, guidance=self._guidance(count)
        )
        return grid(to_pil(model.decode(last.z_next)), columns=4)

    def export(self, folder: Path, *, provenance: dict[str, Any]) -> None:
        """Write UNet and conditioner beside a reference to the first stage."""
        recipe = replace(portable(self.recipe), first_stage=self.first_stage.name)
        defaults = {"guidance_scale": self.recipe.sheet_guidance} if self.recipe.is_guided else {}
        save_model(
            folder,
            self.model,
            first_stage=self._reference_from(folder),
            recipe=to_dict(recipe) | {"provenance": provenance},
            defaults=defaults,
            replace=True,
        )

    @property
    def _prepared_store(self) -> LatentStore:
        assert self.store is not None, "call prepare() first"
        return self.store

    def _build_model(self, autoencoder: Autoencoder, start: Checkpoint | None) -> LatentDiffusion:
        """All parts; UNet and conditioner with fresh weights, or those of a model to start from."""
        recipe = self.recipe
        trained = None if start is None else load_model(start)
        torch.manual_seed(derive_seed(recipe.training.seed, "init"))
        conditioner_config, conditioner = build_for(
            self.source,
            recipe.conditioner,  # type: ignore[arg-type]  # nothing is left open
            lambda: caption_corpus(self.source, range(min(self.length, TOKENIZER_EXAMPLES))),
            tokenizer=getattr(trained and trained.conditioner, "tokenizer", None),
        )
        check_widths(recipe.unet, conditioner)
        config = LatentDiffusionConfig(
            autoencoder=autoencoder.config,
            unet=recipe.unet,
            conditioner=conditioner_config,
            schedule=recipe.schedule,
            prediction=recipe.objective.prediction,
            image_size=recipe.data.size,
        )
        model = LatentDiffusion(config, autoencoder=autoencoder, unet=UNet(recipe.unet), conditioner=conditioner)
        if start is not None and trained is not None:
            self._take_over(start, trained, model)
        return model

    def _take_over(self, start: Checkpoint, trained: LatentDiffusion, model: LatentDiffusion) -> None:
        """Begin with the weights of a trained model, and say what is new."""
        source = str(start.folder)
        notes = fine_tune_from(trained, model, source=source)
        if reference_of(start).digest != self.first_stage.digest:
            notes.append(f"{source} was trained on the latents of another first stage")
        for note in notes:
            warnings.warn(note, stacklevel=3)

    def _identity(self) -> dict[str, Any]:
        """What must not change between a stop and a resume; the first stage counts by its digest, not by its place."""
        recipe = to_dict(self.recipe)
        for name in ("data", "first_stage", "training", "sheet_guidance"):
            del recipe[name]
        if self.recipe.condition != "low-resolution":
            del recipe["degradation"]  # nothing depends on it
        data = source_identity(self.recipe.data, self.source)
        identity = {"recipe": recipe, "data": data, "first_stage_digest": self.first_stage.digest}
        tokenizer = getattr(self.model.conditioner, "tokenizer", None)
        if tokenizer is not None:
            identity["tokenizer"] = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
        return identity

    def _picture_identity(self) -> dict[str, Any]:
        """What latents depend on: the pictures, but neither the windows of stage 1 nor what captions mention."""
        data = source_identity(self.recipe.data, self.source) | {"crop": None}
        return {name: value for name, value in data.items() if name != "complete_captions"}

    def _reference_from(self, folder: Path) -> FirstStageReference:
        """The first stage as seen from a model's folder; a shipped one is found by its digest."""
        place = self.first_stage_folder.resolve()
        path = None if place.parent == ZOO else Path(os.path.relpath(place, folder.resolve())).as_posix()
        return replace(self.first_stage, path=path)

    @torch.no_grad()
    def _moments(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        autoencoder = self.model.autoencoder
        x = self.source.images(indices).to(next(autoencoder.parameters()).device)
        mean, logvar = autoencoder.encode(x).moments()
        return mean.cpu(), logvar.cpu()

    def _conditions(self, indices: Sequence[int], *, variant: int) -> list[Any]:
        return conditions(
            self.source,
            indices,
            kind=self.recipe.condition,
            variant=variant,
            factor=self.model.config.autoencoder.downsampling_factor,
            degradation=self.recipe.degradation,
        )

    def _prepared(self, indices: Sequence[int], draw: int) -> dict[str, Any]:
        """Conditions of a batch; captions are phrased, masks and degradations drawn anew in every epoch."""
        conditioner = self.model.conditioner
        if conditioner is None:
            return {}
        seed = self.recipe.training.seed
        y = self._conditions(indices, variant=epoch_of(draw * len(indices), length=self.length))
        y = drop_conditions(y, conditioner.null, self.recipe.condition_dropout, generator(seed, "drop", draw))
        return {"prepared": conditioner.prepare(y)}

    def _names(self) -> Names | None:
        """What grounding asks for; None without grounding."""
        if self.recipe.grounding_weight == 0:
            return None
        words = words_of(self.source, weight="grounding_weight")
        return Names(words, self.model.conditioner.tokenizer)  # type: ignore[union-attr]  # the recipe checks it

    def _grounding(self) -> Grounding | None:
        """What asks the text encoder, with fresh weights."""
        if self.names is None:
            return None
        encoder = self.model.conditioner
        return Grounding(encoder.context_dim, len(self.names), vector_width=encoder.vector_dim)  # type: ignore[union-attr]

    def _words(self) -> list[str]:
        """What recognition asks for; empty without recognition."""
        if self.recipe.recognition_weight == 0:
            return []
        return words_of(self.source, weight="recognition_weight")

    def _recognition(self) -> Recognition | None:
        """What asks the UNet, with fresh weights."""
        return Recognition(self.recipe.unet.widths[-1], len(self.words)) if self.words else None

    def _told_by_boxes(self, indices: Sequence[int], t: Tensor, asked: dict[str, Any], z_0: Tensor) -> dict[str, Any]:
        """What encoder and UNet should tell beside the prediction, and how much each cell of the prediction counts."""
        size = tuple(z_0.shape[2:])
        if self.names is None and not self.words and self.recipe.emphasis_weight == 0:
            return {}
        layouts, answers = conditions(self.source, indices, kind="layout"), {}
        if self.names is not None:
            answers["grounding_target"] = grounding_target(asked["prepared"]["tokens"], layouts, self.names)
        if self.words:
            answers["recognition_target"] = recognition_target(layouts, self.words, size)
        if self.recipe.emphasis_weight > 0:
            answers["emphasis"] = self._emphasis(layouts, t, size)
        return answers

    def _emphasis(self, layouts: Sequence[Layout], t: Tensor, size: tuple[int, int]) -> Tensor:
        return emphasis_on(
            layouts,
            t,
            size=size,
            num_steps=len(self.model.schedule),
            weight=self.recipe.emphasis_weight,
            emphatic_names=self.recipe.emphatic_names,
        )

    def _offset(self, z_0: Tensor, draw: int) -> dict[str, Tensor]:
        if self.recipe.objective.offset_noise == 0.0:
            return {}
        shape = (*z_0.shape[:2], 1, 1)
        return {"offset": torch.randn(shape, generator=generator(self.recipe.training.seed, "offset", draw))}

    def _guidance(self, count: int) -> Guidance:
        """That of sheets; without a null condition there is none."""
        if self.model.conditioner is None or not self.recipe.is_guided:
            return Guidance()
        negative = self.model.condition([self.model.conditioner.null] * count)
        return Guidance(scale=self.recipe.sheet_guidance, negative=negative)
