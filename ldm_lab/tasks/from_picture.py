"""What tasks ask that begin with a picture, and how it becomes a latent."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.any_model import AnyModelSettings
from ldm_lab.tasks.picture_input import Picture
from ldm_lab.tasks.settings import MAX_SIDE, TaskSettings, picture_fields


@dataclass(frozen=True, kw_only=True)
class SizedByPicture(TaskSettings):
    """Settings of a task whose first picture says how large things are; all its pictures are brought to one size."""

    width: int | None = setting(
        None, help="Width to which the picture is scaled and cut; None: as it is.", minimum=1, maximum=MAX_SIDE
    )
    height: int | None = setting(
        None, help="Height to which the picture is scaled and cut; None: as it is.", minimum=1, maximum=MAX_SIDE
    )

    @property
    def main_picture(self) -> Picture:
        """The one that says how large things are."""
        return getattr(self, next(iter(picture_fields(type(self)))))

    def resolved(self, **known: Any) -> Self:
        """As for every task, and pictures in the size that the model sees."""
        picture = self.main_picture
        size = {"width": self.width or picture.width, "height": self.height or picture.height}
        sized = super().resolved(**known, **size)
        fitted = {name: getattr(self, name).fitted(**size) for name in picture_fields(type(self))}
        return dataclasses.replace(sized, **fitted)

    def notes_on(self, resolved: Self) -> list[str]:
        """Say how the picture was brought to its size."""
        notes = super().notes_on(resolved)
        before, after = (f"{each.width} x {each.height}" for each in (self.main_picture, resolved.main_picture))
        return notes if before == after else [*notes, f"the picture of {before} pixels was scaled and cut to {after}"]


@dataclass(frozen=True, kw_only=True)
class PictureSettings(SizedByPicture, AnyModelSettings):
    """Settings of a task that begins with a picture and takes any model."""

    image: Picture = setting(dataclasses.MISSING, help="The picture to begin with: a file.")


def encode_picture(model: LatentDiffusion, picture: Picture, *, num_images: int) -> Tensor:
    """The most likely latent of a picture, once for each image. (B, C, h, w)

    Raises:
        RequestError: If a side does not fit the network.
    """
    model.latent_shape(*picture.size)
    z = model.encode(picture.tensor().to(model.device, model.dtype))
    return z.repeat(num_images, 1, 1, 1)
