"""The model that is timed: a shipped one, a folder, or random weights of a recipe's architecture."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.conversion import diffusers_text_to_image
from benchmarks.peer import TextToImage
from ldm_lab.api import load
from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.checkpoints import (
    find_first_stage,
    load_model,
    locate_model,
    read_checkpoint,
    reference_to,
    save_autoencoder,
    save_model,
    shipped_models,
)
from ldm_lab.core.seeding import derive_seed
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks import Pipeline
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.presets import AUTOENCODERS, DIFFUSION
from ldm_lab.unet import UNet

TOKENIZER_CAPTIONS = 2000


@dataclass(frozen=True)
class Subject:
    """One model, ours and as diffusers has it, in memory and on disk."""

    pipeline: Pipeline
    theirs: TextToImage
    folder: Path
    their_folder: Path
    note: str


@contextmanager
def open_subject(name: str) -> Iterator[Subject]:
    """Load a model by shipped name or folder; a recipe's name whose model is not shipped gives random weights."""
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        is_recipe = name not in shipped_models() and name in DIFFUSION
        folder = save_random_model(root, name) if is_recipe else locate_model(name)
        pipeline = load(folder, device="cpu")
        left_out = ""
        if pipeline.model.config.unet.coordinates:
            folder = save_without_coordinates(root / "without-coordinates", folder)
            pipeline, left_out = load(folder, device="cpu"), " without its coordinates, which diffusers lacks"
        theirs = diffusers_text_to_image(pipeline.model)
        their_folder = root / "diffusers"
        theirs.save_pretrained(their_folder)
        weights = "random weights of the recipe" if is_recipe else "weights"
        yield Subject(pipeline, theirs, folder, their_folder, note=f"{weights} {name}{left_out}: {pipeline!r}")


def save_without_coordinates(target: Path, folder: Path) -> Path:
    """A model without the coordinates of its UNet (one linear map of x and y), so that both sides are the same."""
    checkpoint = read_checkpoint(folder)
    model = load_model(checkpoint)
    unet = UNet(replace(model.config.unet, coordinates=False))
    unet.load_state_dict(model.unet.state_dict(), strict=False)
    plain = LatentDiffusion(
        replace(model.config, unet=unet.config),
        autoencoder=model.autoencoder,
        unet=unet,
        conditioner=model.conditioner,
    )
    found = find_first_stage(checkpoint).folder
    first_stage = reference_to(found, path=str(found.resolve()))
    save_model(target, plain, first_stage=first_stage, recipe={}, defaults=checkpoint.entry("defaults"))
    return target


def save_random_model(root: Path, name: str) -> Path:
    """The architecture of a recipe with random weights, none of them zero, in a native folder."""
    recipe = DIFFUSION[name]()
    torch.manual_seed(derive_seed("benchmark"))
    first_stage = root / recipe.first_stage
    save_autoencoder(first_stage, Autoencoder(AUTOENCODERS[recipe.first_stage]().autoencoder), recipe={})
    stage = DiffusionStage(replace(recipe, first_stage=str(first_stage), num_examples=TOKENIZER_CAPTIONS))
    for parameter in stage.model.unet.parameters():
        if not parameter.any():  # layers that start at zero would make every output the same
            torch.nn.init.normal_(parameter, std=0.02)
    stage.export(root / name, provenance={})
    return root / name
