"""Inpainting: is a half-hidden shape completed, and is the hole filled better than without training?"""

from collections.abc import Iterator, Sequence
from itertools import count, islice

import torch
from torch import Tensor

from ldm_lab.checkpoints import load_model, locate_model, read_checkpoint
from ldm_lab.core.images import to_pil, to_tensor, to_uint8
from ldm_lab.core.masks import MaskedPicture, latent_mask, paste_back
from ldm_lab.data.scenes import CANVAS, Scene, render, sample_scene
from ldm_lab.evaluation.metrics import decibels
from ldm_lab.evaluation.progress import BATCH
from ldm_lab.evaluation.scene_reader import read_scenes
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Edit, edit_steps
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.kinds import TEXT
from ldm_lab.tasks.plan import scheduler_of
from ldm_lab.tasks.settings import GuidedSettings

SHOWN = 8


def judge_masked(pipeline: Pipeline, num_images: int, settings: GuidedSettings) -> Iterator[Trial]:
    """Test scenes of one object, of which everything to one side of its centre is hidden, each side in turn."""
    scenes = list(islice(_single_scenes(), num_images))
    x = to_tensor(to_uint8(render(scenes)))  # pictures as people have them
    masks = torch.stack([half_mask(scene, side=index % 4) for index, scene in enumerate(scenes)])
    masked = [MaskedPicture(*pair) for pair in zip(x, masks, strict=True)]

    def measure(made: Tensor) -> dict[str, float]:
        found = [[(item.shape, item.color) for item in reading.objects] for reading in read_scenes(made)]
        right = [pairs == [scene.objects[0].pair] for pairs, scene in zip(found, scenes, strict=True)]
        return {"completed to its class": sum(right) / len(right), "hole PSNR": _hole_psnr(x, made, masks)}

    def finish(made: Tensor) -> Tensor:
        return to_tensor(paste_back(to_uint8(made), to_uint8(x), masks)[0])

    untrained = finish(fill_untrained(_text_model(), masked, settings))
    yield Trial(
        title="half-hidden shapes",
        conditions=masked,
        measure=measure,
        figures={
            "completed to its class": Figure(unit="%", at_least=0.90),
            "hole PSNR": Figure(unit="dB", at_least=_hole_psnr(x, untrained, masks)),
        },
        finish=finish,
        rivals={f"{TEXT.shipped}, masked sampling": untrained, "hole left black": finish(torch.full_like(x, -1.0))},
        shown=to_pil(torch.stack([each.visible for each in masked[:SHOWN]])),
        captions=["hidden"] * num_images,
    )


def half_mask(scene: Scene, *, side: int, size: int = 64) -> Tensor:
    """Hide what lies left of, right of, above or below the first object's centre (``side`` 0 to 3). (1, size, size)"""
    pixels = torch.arange(size) + 0.5
    centre = (scene.objects[0].x, scene.objects[0].y)[side // 2] * size / CANVAS
    hidden = (pixels < centre) if side % 2 == 0 else (pixels >= centre)
    row = hidden.float().expand(1, size, size)  # varies along x
    return row.contiguous() if side < 2 else row.transpose(1, 2).contiguous()


@torch.no_grad()
def fill_untrained(model: LatentDiffusion, masked: Sequence[MaskedPicture], settings: GuidedSettings) -> Tensor:
    """Fill holes by masked sampling of a model that was not trained for it, with its null condition. (N, 3, H, W)"""
    scheduler = scheduler_of(model, settings)
    null = [model.conditioner.null]
    parts = []
    for start in range(0, len(masked), BATCH):
        batch = masked[start : start + BATCH]
        z_0 = model.encode(torch.stack([each.image for each in batch]).to(model.device))
        holes = latent_mask(
            torch.stack([each.mask for each in batch]), factor=model.autoencoder.config.downsampling_factor
        ).to(z_0)
        *_, last = edit_steps(
            model,
            model.condition(null * len(batch)),
            scheduler,
            Edit(z_0=z_0, mask=holes),
            num_steps=settings.num_steps,
            seeds=range(start, start + len(batch)),
        )
        parts.append(model.decode(last.z_next).cpu().clamp(-1, 1))
    return torch.cat(parts)


def _text_model() -> LatentDiffusion:
    return load_model(read_checkpoint(locate_model(TEXT.shipped), kind="latent_diffusion")).eval()


def _single_scenes() -> Iterator[Scene]:
    scenes = (sample_scene(0, index, split="test") for index in count())
    return (scene for scene in scenes if len(scene.objects) == 1)


def _hole_psnr(x: Tensor, made: Tensor, masks: Tensor) -> float:
    """Mean over images of the PSNR inside their holes."""
    errors = ((made - x).square() * masks).sum((1, 2, 3)) / (3 * masks.sum((1, 2, 3)))
    return decibels(errors).clamp(max=99).mean().item()
