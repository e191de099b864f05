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
    """Settings of a task whose first picture, if it has any, says how large things are; the others are fitted to it."""

    width: int | None = setting(
        None, help="Width to which the picture is scaled and cut; None: as it is.", minimum=1, maximum=MAX_SIDE
    )
    height: int | None = setting(
        None, help="Height to which the picture is scaled and cut; None: as it is.", minimum=1, maximum=MAX_SIDE
    )

    @property
    def pictures(self) -> dict[str, Picture]:
        """Those that were given, by the names of their settings."""
        fields = {name: getattr(self, name) for name in picture_fields(type(self))}
        return {name: picture for name, picture in fields.items() if picture is not None}

    def resolved(self, **known: Any) -> Self:
        """As for every task, and pictures in the size that the model sees."""
        if not self.pictures:
            return super().resolved(**known)
        first = next(iter(self.pictures.values()))
        size = {"width": self.width or first.width, "height": self.height or first.height}
        sized = super().resolved(**known, **size)
        return dataclasses.replace(sized, **{name: each.fitted(**size) for name, each in self.pictures.items()})

    def notes_on(self, resolved: Self) -> list[str]:
        """Say how pictures were brought to their size."""
        sizes = [
            [f"{each.width} x {each.height}" for each in (picture, resolved.pictures[name])]
            for name, picture in self.pictures.items()
        ]
        scaled = [
            f"the picture of {before} pixels was scaled and cut to {after}"
            for before, after in sizes
            if before != after
        ]
        return [*super().notes_on(resolved), *dict.fromkeys(scaled)]


@dataclass(frozen=True, kw_only=True)
class PictureSettings(SizedByPicture, AnyModelSettings):
    """Settings of a task that begins with a picture and takes any model."""

    image: Picture = setting(dataclasses.MISSING, help="The picture to begin with: a file.")


def nearest_size(width: int, height: int, *, multiple: int) -> tuple[int, int]:
    """The size nearest to that of a picture of which both sides are a multiple, neither beyond ``MAX_SIDE``."""
    scale = min(1.0, MAX_SIDE / max(width, height))
    most = MAX_SIDE // multiple
    sides = (min(most, max(1, round(scale * side / multiple))) * multiple for side in (width, height))
    return next(sides), next(sides)


def encode_picture(model: LatentDiffusion, picture: Picture, *, num_images: int) -> Tensor:
    """The most likely latent of a picture, once for each image. (B, C, h, w)

    Raises:
        RequestError: If a side does not fit the network.
    """
    model.latent_shape(*picture.size)
    z = model.encode(picture.tensor().to(model.device, model.dtype))
    return z.repeat(num_images, 1, 1, 1)
