"""Image guiding: a small picture draws the walk of any model towards itself, without training."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from ldm_lab.autoencoders.perceptual import load_lpips
from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import ImageGuidance, half_squared_error
from ldm_lab.tasks.any_model import AnyModelSettings, wish_of
from ldm_lab.tasks.picture_input import Picture
from ldm_lab.tasks.plan import Plan, from_noise


@dataclass(frozen=True, kw_only=True)
class ImageGuidingSettings(AnyModelSettings):
    """Images that look like a small picture when they are made as small; LDM (Rombach et al. 2022), appendix C."""

    task: ClassVar[str] = "image_guiding"

    image: Picture = setting(dataclasses.MISSING, help="The small picture: a file.")
    guide_scale: float = setting(
        1.0, help="How strongly it draws; 0: not at all.", minimum=0.0, maximum=10_000.0, step=0.5
    )
    distance: str = setting(
        "l2", help="l2: half the squared distance; lpips: that of deep features.", choices=("l2", "lpips")
    )


def image_guiding(model: LatentDiffusion, settings: ImageGuidingSettings) -> Plan:
    """Make images of which a picture is the small copy, and that show what is asked for beside it."""
    wish = wish_of(model, settings)
    small = settings.image
    if small.width > settings.width or small.height > settings.height:
        raise RequestError(
            f"the small picture has {small.width} x {small.height} pixels, the images {settings.width} x "
            f"{settings.height}; it must not be larger than they are"
        )
    guidance = ImageGuidance(
        target=small.tensor().to(model.device),
        decode=lambda z: model.autoencoder.decode_straight_through(z / model.scale_factor),
        transform=lambda x: F.interpolate(x, size=(small.height, small.width), mode="bicubic", antialias=True),
        loss=_distance(model, settings.distance),
        scale=settings.guide_scale,
        base=wish.guidance,
    )
    walk = from_noise(model, settings, cond=wish.cond, guidance=guidance)
    return Plan(walk=walk, needs_gradients=True, notes=wish.notes)


def _distance(model: LatentDiffusion, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """(what is seen (B, …), the target (1, …)) → one number an image (B,)."""
    if name == "l2":
        return half_squared_error
    lpips = load_lpips().to(model.device).requires_grad_(False)
    return lambda seen, target: lpips(seen, target.expand_as(seen)).flatten(1).sum(1)
