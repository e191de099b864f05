"""Saving and loading autoencoders and latent diffusion models in the package's own format.

On disk the weights have 16 bits, in memory 32. A latent diffusion checkpoint holds UNet and conditioner; its first
stage is a checkpoint of its own, shared by every model that was trained on it. Weights of a frozen pretrained text
encoder stay where they are.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.linear_preview import LinearPreview, fit_linear_preview
from ldm_lab.checkpoints.first_stage import FirstStageReference, find_first_stage
from ldm_lab.checkpoints.folder import (
    TOKENIZER,
    WEIGHTS,
    Checkpoint,
    explained,
    read_checkpoint,
    rewrite_config,
    writing,
)
from ldm_lab.checkpoints.tensors import read_tensors, write_tensors
from ldm_lab.checkpoints.weights import Uninitialised, fill, split_prefixes, weights_of, with_prefix
from ldm_lab.conditioning import ConditionerConfig, PretrainedTextConfig, TextTransformerConfig, build_conditioner
from ldm_lab.core.config import differences, from_dict, to_dict
from ldm_lab.core.errors import CheckpointMismatchError, ConfigError
from ldm_lab.model import LatentDiffusion, LatentDiffusionConfig
from ldm_lab.unet.unet import UNet

_PARTS = ("unet", "conditioner")
_PREVIEW = "linear_preview"


def save_autoencoder(
    folder: str | Path,
    autoencoder: Autoencoder,
    *,
    recipe: Mapping[str, Any],
    dtype: torch.dtype = torch.float16,
    replace: bool = False,
) -> None:
    """Write a first stage, scale factor and linear preview included.

    Args:
        folder: Where to; it appears whole or not at all.
        autoencoder: The first stage.
        recipe: JSON values that say how it was trained.
        dtype: Of the weights on disk.
        replace: Take the place of an existing folder.

    Raises:
        CheckpointError: If the folder exists or cannot be written, or a weight is not finite in ``dtype``.
    """
    weights = weights_of(autoencoder, dtype=dtype)
    preview = autoencoder.linear_preview
    stored = {} if preview is None else {_PREVIEW: to_dict(preview)}
    content = {"config": to_dict(autoencoder.config), **stored, "recipe": dict(recipe)}
    with writing(folder, kind="autoencoder", content=content, replace=replace) as temporary:
        write_tensors(temporary / WEIGHTS, weights)


def save_model(
    folder: str | Path,
    model: LatentDiffusion,
    *,
    first_stage: FirstStageReference,
    recipe: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
    replace: bool = False,
) -> None:
    """Write UNet and conditioner; the first stage is referred to.

    Args:
        folder: Where to; it appears whole or not at all.
        model: What to save.
        first_stage: Its first stage, from ``reference_to``.
        recipe: JSON values that say how it was trained.
        defaults: Settings of tasks that suit this model, such as ``{"guidance_scale": 4.0}``.
        dtype: Of the weights on disk.
        replace: Take the place of an existing folder.

    Raises:
        CheckpointError: If the folder exists or cannot be written, or a weight is not finite in ``dtype``.
    """
    weights = with_prefix(weights_of(model.unet, dtype=dtype), "unet")
    if model.conditioner is not None:
        weights |= with_prefix(weights_of(model.conditioner, dtype=dtype), "conditioner")
    content = {
        "config": to_dict(_config_to_save(model)),
        "first_stage": dataclasses.asdict(first_stage),
        "defaults": dict(defaults or {}),
        "recipe": dict(recipe),
    }
    with writing(folder, kind="latent_diffusion", content=content, replace=replace) as temporary:
        write_tensors(temporary / WEIGHTS, weights)
        if isinstance(model.config.conditioner, TextTransformerConfig):
            (temporary / TOKENIZER).write_text(model.conditioner.tokenizer.to_str(), encoding="utf-8")


def load_autoencoder(folder: str | Path | Checkpoint) -> Autoencoder:
    """Read a first stage, verified, in fp32 on the CPU and in evaluation mode.

    Raises:
        CheckpointError: If the folder is missing, altered, of another version, or its weights do not fit its config.
    """
    checkpoint = _opened(folder, "autoencoder")
    with explained(checkpoint):
        config = from_dict(AutoencoderConfig, checkpoint.entry("config"))
        with Uninitialised():
            autoencoder = Autoencoder(config)
        autoencoder.linear_preview = _linear_preview(checkpoint, config)
    weights = checkpoint.folder / WEIGHTS
    fill(autoencoder, read_tensors(weights), source=str(weights))
    return autoencoder.eval()


def store_linear_preview(folder: str | Path, batches: Iterable[Tensor]) -> LinearPreview:
    """Fit a linear preview to a first stage on disk, and add it to its config.

    The weights and what else lies in the folder stay as they are, and so do the references of models to it.

    Args:
        folder: An autoencoder's; it is replaced at once or not at all.
        batches: Images in [-1, 1] such as it was trained on. (B, 3, H, W) each

    Raises:
        CheckpointError: If the folder cannot be read or written.
        ConfigError: If a preview cannot be fitted.
    """
    checkpoint = read_checkpoint(folder, kind="autoencoder")
    preview = fit_linear_preview(load_autoencoder(checkpoint), batches)
    rewrite_config(checkpoint, {**checkpoint.content, _PREVIEW: to_dict(preview)})
    return preview


def load_model(folder: str | Path | Checkpoint) -> LatentDiffusion:
    """Read a latent diffusion model and the first stage that it refers to, in fp32 on the CPU and in evaluation mode.

    Raises:
        CheckpointError: As for ``load_autoencoder``, or if the first stage is not found or is another one.
    """
    checkpoint = _opened(folder, "latent_diffusion")
    first_stage = find_first_stage(checkpoint)
    with explained(checkpoint):
        config = from_dict(LatentDiffusionConfig, checkpoint.entry("config"))
        with Uninitialised():
            unet = UNet(config.unet)
        conditioner = _conditioner(config.conditioner, checkpoint.folder / TOKENIZER)
    autoencoder = load_autoencoder(first_stage)
    _check_first_stage(config.autoencoder, autoencoder.config, checkpoint)
    source = str(checkpoint.folder / WEIGHTS)
    parts = split_prefixes(read_tensors(source), _PARTS, source=source)
    fill(unet, parts["unet"], source=source)
    fill(conditioner or nn.Module(), parts["conditioner"], source=source)
    return LatentDiffusion(config, autoencoder=autoencoder, unet=unet, conditioner=conditioner).eval()


def _linear_preview(checkpoint: Checkpoint, config: AutoencoderConfig) -> LinearPreview | None:
    """The one that is stored, if there is one."""
    if _PREVIEW not in checkpoint.content:
        return None
    preview = from_dict(LinearPreview, checkpoint.entry(_PREVIEW))
    if len(preview.weight) != config.latent_channels:
        raise ConfigError(
            f"{_PREVIEW} has {len(preview.weight)} channels, the latents have {config.latent_channels}; fit it again"
        )
    return preview


def _opened(folder: str | Path | Checkpoint, kind: str) -> Checkpoint:
    return folder if isinstance(folder, Checkpoint) else read_checkpoint(folder, kind=kind)


def _conditioner(config: ConditionerConfig | None, tokenizer: Path) -> Any:
    if isinstance(config, PretrainedTextConfig):
        return build_conditioner(config)  # brings its own weights along
    with Uninitialised():
        return build_conditioner(config, tokenizer=tokenizer)


def _config_to_save(model: LatentDiffusion) -> LatentDiffusionConfig:
    """The config, with the digest of a pretrained text encoder, so that another one is refused later."""
    if isinstance(model.config.conditioner, PretrainedTextConfig):
        conditioner = dataclasses.replace(model.config.conditioner, digest=model.conditioner.digest)
        return dataclasses.replace(model.config, conditioner=conditioner)
    return model.config


def _check_first_stage(expected: AutoencoderConfig, found: AutoencoderConfig, checkpoint: Checkpoint) -> None:
    """Sizes must agree; the scale factor may be the model's own, measured on its own data."""
    others = {name: pair for name, pair in differences(expected, found).items() if name != "scale_factor"}
    if others:
        name, (wanted, got) = next(iter(others.items()))
        raise CheckpointMismatchError(
            f"{checkpoint.source}: {name} of the first stage is {wanted}, but the first stage found has {got}"
        )
