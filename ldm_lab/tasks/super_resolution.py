"""Super-resolution: a small picture made larger, by a model trained for it."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from ldm_lab.core.config import setting
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.cost import check_cost
from ldm_lab.tasks.from_picture import SizedByPicture
from ldm_lab.tasks.kinds import LOW_RESOLUTION, require
from ldm_lab.tasks.large import LargeSettings, decode_of, denoiser_of
from ldm_lab.tasks.picture_input import Picture
from ldm_lab.tasks.plan import Plan, each_for_all, from_noise


@dataclass(frozen=True, kw_only=True)
class SuperResolutionSettings(SizedByPicture, LargeSettings):
    """A small picture made larger by the factor that the model was trained for; large ones are best done in patches."""

    task: ClassVar[str] = "super_resolution"

    image: Picture = setting(dataclasses.MISSING, help="The small picture: a file.")


def super_resolution(model: LatentDiffusion, settings: SuperResolutionSettings) -> Plan:
    """Make a picture larger."""
    require(model, LOW_RESOLUTION, task=settings.task)
    factor = model.config.conditioner.factor
    size = (factor * settings.width, factor * settings.height)
    check_cost(settings, size=size)
    (cond,) = each_for_all(model.condition([settings.image.tensor()[0]]), len(settings.seeds))
    walk = from_noise(model, settings, cond=cond, denoiser=denoiser_of(model, settings), size=size)
    return Plan(walk=walk, decode=decode_of(model, settings), latent_scale=settings.latent_scale)
