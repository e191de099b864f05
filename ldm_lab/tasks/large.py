"""Images larger than those a model was trained on: in patches, of rescaled latents, decoded with less memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from ldm_lab.autoencoders.low_memory import decode_in_strips
from ldm_lab.autoencoders.tiled import decode_in_tiles
from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Denoiser, Patched, Rescaled
from ldm_lab.tasks.any_model import AnyModelSettings, wish_of
from ldm_lab.tasks.plan import Decode, Plan, from_noise
from ldm_lab.tasks.settings import TaskSettings

MAX_LARGE_SIDE = 4096
TILE, OVERLAP = 64, 16  # side of a tile for the decoder, and what neighbours share, in latent numbers


@dataclass(frozen=True, kw_only=True)
class LargeSettings(TaskSettings):
    """Settings of a task whose images may be larger than those of training."""

    patch_size: int | None = setting(
        None, help="Side in pixels of patches in which the walk is taken; None: in one piece.", minimum=1, maximum=4096
    )
    patch_overlap: float = setting(
        0.5, help="Share of a patch that it has in common with the next.", minimum=0.0, maximum=0.9, step=0.1
    )
    decoding: str = setting(
        "whole",
        help="whole; strips: the same with less memory, slower; tiles: least memory, about the same.",
        choices=("whole", "strips", "tiles"),
    )
    latent_scale: float = setting(
        1.0,
        help="Factor on the latents, and its square on the signal-to-noise ratio of every step; 1: as trained.",
        minimum=0.1,
        maximum=10.0,
        step=0.1,
    )

    def notes_on(self, resolved: Self) -> list[str]:
        """Say what rescaled latents mean."""
        notes = super().notes_on(resolved)
        if self.latent_scale == 1.0:
            return notes
        return [
            *notes,
            f"the latents are {self.latent_scale:g} times those of training, and the signal-to-noise ratio of every "
            f"step {self.latent_scale**2:g} times",
        ]


@dataclass(frozen=True, kw_only=True)
class LargeImageSettings(LargeSettings, AnyModelSettings):
    """Images of any size from any model: convolutional in one piece, or in patches that are blended."""

    task: ClassVar[str] = "large_image"

    width: int | None = setting(None, help="Width of an image in pixels.", minimum=1, maximum=MAX_LARGE_SIDE)
    height: int | None = setting(None, help="Height of an image in pixels.", minimum=1, maximum=MAX_LARGE_SIDE)


def large_image(model: LatentDiffusion, settings: LargeImageSettings) -> Plan:
    """Make images larger than those of training."""
    wish = wish_of(model, settings)
    walk = from_noise(model, settings, cond=wish.cond, guidance=wish.guidance, denoiser=denoiser_of(model, settings))
    return Plan(walk=walk, notes=wish.notes, decode=decode_of(model, settings), latent_scale=settings.latent_scale)


def denoiser_of(model: LatentDiffusion, settings: LargeSettings) -> Denoiser:
    """The model, asked about patches or about rescaled latents where the settings say so; else the model itself.

    Raises:
        RequestError: If a patch does not fit the network.
    """
    denoiser = model if settings.patch_size is None else _in_patches(model, settings)
    return denoiser if settings.latent_scale == 1.0 else Rescaled(denoiser, scale=settings.latent_scale)


def _in_patches(model: LatentDiffusion, settings: LargeSettings) -> Patched:
    try:
        _, _, size = model.latent_shape(settings.patch_size, settings.patch_size)
    except RequestError as error:
        raise RequestError(f"patch_size is {settings.patch_size}: {error}") from error
    return Patched(model, size=size, overlap=int(size * settings.patch_overlap))


def decode_of(model: LatentDiffusion, settings: LargeSettings) -> Decode:
    """How the images are decoded, from latents of the scale that the settings ask for."""
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "whole": model.decode,
        "strips": lambda z: decode_in_strips(model.autoencoder, z / model.scale_factor),
        "tiles": lambda z: decode_in_tiles(model.autoencoder, z / model.scale_factor, size=TILE, overlap=OVERLAP),
    }
    way = ways[settings.decoding]
    return way if settings.latent_scale == 1.0 else lambda z: way(z / settings.latent_scale)
