"""What tasks ask that begin with a picture, and how it becomes a latent."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.any_model import AnyModelSettings
from ldm_lab.tasks.picture_input import Picture
from ldm_lab.tasks.settings import MAX_SIDE, picture_fields


@dataclass(frozen=True, kw_only=True)
class PictureSettings(AnyModelSettings):
    """Settings of a task that begins with a picture; its masks and maps are brought to a size together with it."""

    image: Picture = setting(dataclasses.MISSING, help="The picture to begin with: a file.")
    width: int | None = setting(
        None, help="Width to which the picture is scaled and cut; None: as it is.", minimum=1, maximum=MAX_SIDE
    )
    height: int | None = setting(
        None, help="Height to which the picture is scaled and cut; None: as it is.", minimum=1, maximum=MAX_SIDE
    )

    def resolved(self, **known: Any) -> Self:
        """As for every task, and pictures in the size that the model sees."""
        size = {"width": self.width or self.image.width, "height": self.height or self.image.height}
        sized = super().resolved(**known, **size)
        pictures = {name: getattr(self, name) for name in picture_fields(type(self))}
        fitted = {name: each.fitted(**size) for name, each in pictures.items() if each is not None}
        return dataclasses.replace(sized, **fitted)

    def notes_on(self, resolved: Self) -> list[str]:
        """Say how the picture was brought to its size."""
        notes = super().notes_on(resolved)
        before, after = (f"{picture.width} x {picture.height}" for picture in (self.image, resolved.image))
        return notes if before == after else [*notes, f"the picture of {before} pixels was scaled and cut to {after}"]


def encode_picture(model: LatentDiffusion, picture: Picture, *, num_images: int) -> Tensor:
    """The most likely latent of a picture, once for each image. (B, C, h, w)

    Raises:
        RequestError: If a side does not fit the network.
    """
    model.latent_shape(*picture.size)
    z = model.encode(picture.tensor().to(model.device, model.dtype))
    return z.repeat(num_images, 1, 1, 1)
