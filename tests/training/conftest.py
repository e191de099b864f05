"""Training runs of a second: toy recipes for both stages, and what is left of a run when it has ended."""

import os
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.objective import AutoencoderObjectiveConfig
from ldm_lab.checkpoints import save_autoencoder
from ldm_lab.conditioning import TextTransformerConfig
from ldm_lab.data.source import DataConfig
from ldm_lab.training import autoencoder_stage, diffusion_stage
from ldm_lab.training.autoencoder_stage import AutoencoderRecipe, AutoencoderStage
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.diffusion_recipe import DiffusionRecipe
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.loop import train
from ldm_lab.unet.config import UNetConfig

AUTOENCODER = AutoencoderConfig(
    latent_channels=2, channels=4, channel_mult=(1, 2), num_res_blocks=1, norm_groups=2, mid_attention=False
)
TRAINING = TrainingConfig(
    num_steps=12,
    batch_size=2,
    learning_rate=1e-3,
    warmup_steps=3,
    decay="cosine",
    save_every=5,  # draws and logs at other steps
    sheet_every=6,
    log_every=2,
)


@pytest.fixture(autouse=True)
def _cheap_ends(monkeypatch):
    """The latent scale from two batches, and no sampling for the sheets of stage 2, which have a test of their own."""
    monkeypatch.setattr(autoencoder_stage, "SCALE_BATCHES", 2)
    monkeypatch.setattr(autoencoder_stage, "HEALTH_IMAGES", 8)


@pytest.fixture
def no_samples(monkeypatch):
    monkeypatch.setattr(diffusion_stage.DiffusionStage, "sheet", lambda self: Image.new("RGB", (8, 8)))


@pytest.fixture
def autoencoder_recipe():
    """KL autoencoder with a discriminator that enters in the midst of the run."""
    objective = AutoencoderObjectiveConfig(
        perceptual="random-features", adversarial_start=4, discriminator_channels=4, discriminator_layers=1
    )
    return AutoencoderRecipe(data=DataConfig(size=16), autoencoder=AUTOENCODER, objective=objective, training=TRAINING)


@pytest.fixture(scope="session")
def first_stage(tmp_path_factory):
    """The folder of an untrained autoencoder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("first") / "toy-f2"
    save_autoencoder(folder, Autoencoder(AUTOENCODER), recipe={}, dtype=torch.float32)
    return folder


@pytest.fixture
def diffusion_recipe(first_stage):
    """Text to latents of 8×8 with dropout, trained jointly with its text transformer."""
    return DiffusionRecipe(
        data=DataConfig(size=16),
        first_stage=str(first_stage),
        num_examples=10,
        unet=UNetConfig(
            in_channels=2,
            out_channels=2,
            channels=4,
            channel_mult=(1,),
            num_res_blocks=1,
            attention_levels=(),  # the middle attends, and reads the text
            num_heads=2,
            context_dim=8,
            norm_groups=2,
            dropout=0.1,
        ),
        conditioner=TextTransformerConfig(
            vocab_size=300, max_tokens=12, width=8, depth=1, num_heads=2, head_channels=4
        ),
        training=TRAINING,
    )


@dataclass
class Runner:
    """Starts a recipe in a folder, as often as a test likes."""

    recipe: AutoencoderRecipe | DiffusionRecipe

    def with_training(self, **changes) -> "Runner":
        return Runner(replace(self.recipe, training=replace(self.recipe.training, **changes)))

    def stage(self, folder: Path):
        if isinstance(self.recipe, AutoencoderRecipe):
            return AutoencoderStage(self.recipe)
        stage = DiffusionStage(self.recipe)
        list(stage.prepare(folder / "latents", device="cpu"))
        return stage

    def steps(self, folder: Path):
        """The generator of a fresh start, as a new process would make it."""
        return train(self.stage(folder), self.recipe.training, folder, device="cpu")

    def stop_after(self, count: int, folder: Path) -> None:
        steps = self.steps(folder)
        for _ in range(count):
            next(steps)
        steps.close()

    def finish(self, folder: Path) -> dict[str, bytes]:
        """Run to the end; what lies in the folder then."""
        for _ in self.steps(folder):
            pass
        return remains(folder)


def remains(folder: Path) -> dict[str, bytes]:
    """Every file of the newest checkpoint, the log, the sheets and the model, byte by byte."""
    newest = max((folder / "checkpoints").glob("step-*"))
    files = [*newest.iterdir(), folder / "log.jsonl", *(folder / "sheets").iterdir(), *(folder / "model").iterdir()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def in_child():
    """Run a function in a forked child, which need not import torch anew; returns how it ended, as the shell counts."""

    def run(function) -> int:
        child = os.fork()
        if child == 0:
            try:
                function()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run


@pytest.fixture
def run_of():
    """A runner of any recipe."""
    return Runner


@pytest.fixture(params=["autoencoder", "diffusion"])
def runner(request, no_samples):
    """Both stages, one after the other."""
    return Runner(request.getfixturevalue(f"{request.param}_recipe"))
