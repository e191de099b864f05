"""Super-resolution: nearer to the original than bicubic enlargement, and true to the small image."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ldm_lab.autoencoders.perceptual import load_lpips
from ldm_lab.core.errors import MissingDependencyError
from ldm_lab.core.images import to_pil
from ldm_lab.data.degradations import bicubic, resize_bicubic
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.metrics import psnr
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.settings import GuidedSettings

GAIN = 3.0  # dB above bicubic enlargement
CONSISTENCY = 30.0  # dB between the small image and the large one made small again
SHOWN = 8


def judge_super_resolution(pipeline: Pipeline, num_images: int, settings: GuidedSettings) -> Iterator[Trial]:
    """Test scenes made small by bicubic resizing, and large again."""
    factor = pipeline.model.config.conditioner.factor
    x = ShapeScenes(split="test").images(range(num_images))
    small = bicubic(x, factor=factor)
    enlarged = resize_bicubic(small, width=x.shape[3], height=x.shape[2])
    lpips = _lpips()

    def measure(made: Tensor) -> dict[str, float]:
        figures = {"PSNR": psnr(x, made).mean().item()}
        if lpips is not None:
            figures["LPIPS"] = lpips(x, made).mean().item()
        return figures | {"consistency": psnr(small, bicubic(made, factor=factor)).clamp(max=99).mean().item()}

    bicubics = measure(enlarged)
    figures = {"PSNR": Figure(unit="dB", at_least=bicubics["PSNR"] + GAIN)}
    if lpips is not None:
        figures["LPIPS"] = Figure(at_most=bicubics["LPIPS"])
    yield Trial(
        title=f"super-resolution × {factor}",
        conditions=list(small),
        measure=measure,
        figures=figures | {"consistency": Figure(unit="dB", at_least=CONSISTENCY)},
        rivals={"bicubic": enlarged},
        shown=to_pil(small[:SHOWN]),
        captions=["small"] * num_images,
    )


def _lpips() -> torch.nn.Module | None:
    try:
        return load_lpips()
    except MissingDependencyError:
        return None
