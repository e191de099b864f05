"""Outpainting: a picture continued beyond its edges."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.masks import soften_edge
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.cost import check_cost
from ldm_lab.tasks.inpainting import RepaintSettings, repaint
from ldm_lab.tasks.picture_input import MaskPicture, Picture
from ldm_lab.tasks.plan import Plan
from ldm_lab.tasks.settings import MAX_SIDE


@dataclass(frozen=True, kw_only=True)
class OutpaintingSettings(RepaintSettings):
    """A picture with margins around it that are made to fit; the picture itself comes back as it was."""

    task: ClassVar[str] = "outpainting"

    left: int = setting(0, help="Pixels added on the left.", minimum=0, maximum=MAX_SIDE)
    top: int = setting(0, help="Pixels added above.", minimum=0, maximum=MAX_SIDE)
    right: int = setting(0, help="Pixels added on the right.", minimum=0, maximum=MAX_SIDE)
    bottom: int = setting(0, help="Pixels added below.", minimum=0, maximum=MAX_SIDE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any((self.left, self.top, self.right, self.bottom)):
            raise RequestError("left, top, right and bottom are all 0; say how many pixels are added on some side")


def outpainting(model: LatentDiffusion, settings: OutpaintingSettings) -> Plan:
    """Continue a picture beyond its edges.

    What the first stage sees of the margins is the picture's edge, drawn out, so that the cells at the border are not
    those of a picture on black.
    """
    margins = ((settings.top, settings.bottom), (settings.left, settings.right))
    pixels = np.asarray(settings.image.image)
    hole = np.pad(np.zeros(pixels.shape[:2], dtype=bool), margins, constant_values=True)
    check_cost(settings, size=hole.shape[::-1])
    picture = Picture.of(np.pad(pixels, (*margins, (0, 0)), mode="edge"))
    return repaint(model, settings, picture, soften_edge(MaskPicture.of(hole).tensor(), width=settings.mask_blur))
