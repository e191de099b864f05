"""Semantic map to image: a class for every pixel, and a seed for each picture."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from ldm_lab.core.config import setting
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.from_picture import SizedByPicture
from ldm_lab.tasks.kinds import SEMANTIC, require
from ldm_lab.tasks.large import LargeSettings, decode_of, denoiser_of
from ldm_lab.tasks.picture_input import MapPicture
from ldm_lab.tasks.plan import Plan, each_for_all, from_noise


@dataclass(frozen=True, kw_only=True)
class SemanticToImageSettings(SizedByPicture, LargeSettings):
    """Images of a semantic map, as large as the map, which may be larger than those of training."""

    task: ClassVar[str] = "semantic_to_image"

    map: MapPicture = setting(
        dataclasses.MISSING, help="The map: a file whose grey values, or palette indices, are numbers of classes."
    )


def semantic_to_image(model: LatentDiffusion, settings: SemanticToImageSettings) -> Plan:
    """Make images of a semantic map."""
    require(model, SEMANTIC, task=settings.task)
    (cond,) = each_for_all(model.condition([settings.map.tensor()]), len(settings.seeds))
    walk = from_noise(model, settings, cond=cond, denoiser=denoiser_of(model, settings))
    return Plan(walk=walk, decode=decode_of(model, settings), latent_scale=settings.latent_scale)
