"""A first look at what a recipe leads to: the same data and the same kind of network, trained while one waits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ldm_lab.core.errors import ConfigError
from ldm_lab.training.autoencoder_stage import AutoencoderStage
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.loop import train
from ldm_lab.training.presets import AUTOENCODERS, DIFFUSION

NUM_EXAMPLES = 256


def train_briefly(name: str, folder: str | Path, *, num_steps: int, batch_size: int = 16, device: str = "auto") -> Path:
    """Train a recipe for a few steps: a UNet half as wide on few examples, or the recipe's own first stage.

    What comes of it is rough; it shows what a task is about where no trained model is at hand.

    Args:
        name: Of a recipe, such as "shapes-sr4".
        folder: Where the run lives; one that was stopped goes on.
        num_steps: How many.
        batch_size: Of each.
        device: As for ``train``.

    Returns:
        The folder of the model.

    Raises:
        ConfigError: If there is no such recipe.
    """
    folder = Path(folder)
    sizes = {"num_steps": num_steps, "batch_size": batch_size}
    if name in AUTOENCODERS:
        recipe = _briefly(AUTOENCODERS[name](), **sizes)
        stage: AutoencoderStage | DiffusionStage = AutoencoderStage(recipe)
    elif name in DIFFUSION:
        full = DIFFUSION[name]()
        narrow = replace(full.unet, channels=full.unet.channels // 2)
        recipe = _briefly(replace(full, unet=narrow, num_examples=NUM_EXAMPLES), **sizes)
        stage = DiffusionStage(recipe)
        for _ in stage.prepare(folder / "latents", device=device):
            pass
    else:
        raise ConfigError(f"there is no recipe {name!r:.60}; choose one of {', '.join([*AUTOENCODERS, *DIFFUSION])}")
    for _ in train(stage, recipe.training, folder, device=device):
        pass
    return folder / "model"


def _briefly(recipe: Any, *, num_steps: int, batch_size: int) -> Any:
    """The recipe with a short training: soon at its full rate, and averaged over its last tenth or so."""
    average = max(0.5, 1.0 - 10.0 / num_steps)
    training = replace(
        recipe.training, num_steps=num_steps, batch_size=batch_size, warmup_steps=num_steps // 10, ema_decay=average
    )
    return replace(recipe, training=training)
