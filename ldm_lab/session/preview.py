"""Pictures of latents on their way, made to be looked at while the next step is computed, and how many a second."""

import io
import time
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.linear_preview import LinearPreview, fit_linear_preview
from ldm_lab.core.images import PADDING, grid, to_pil
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.model import LatentDiffusion

MAX_FRAME_SIDE = 256
JPEG_QUALITY = 85
NUM_SCENES = 16  # 0.14 s on a CPU for shapes-kl-f4; 64 of them leave as much of held-out colours unexplained


class FrameBudget:
    """At most so many frames a second; what comes too early is left out, and the newest is what is shown next."""

    def __init__(self, *, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_sec, self._clock = 1.0 / per_second, clock
        self._next_sec = -float("inf")

    def spend(self) -> bool:
        """Whether a frame may be made now; if so, it counts."""
        now = self._clock()
        if now < self._next_sec:
            return False
        self._next_sec = now + self._pause_sec
        return True


def linear_preview_of(autoencoder: Autoencoder) -> LinearPreview:
    """The one that was stored with a first stage; otherwise one fitted to scenes of the built-in world, and kept.

    Raises:
        ConfigError: If its images are not RGB.
    """
    if autoencoder.linear_preview is None:
        autoencoder.linear_preview = fit_linear_preview(autoencoder, [ShapeScenes().images(range(NUM_SCENES))])
    return autoencoder.linear_preview


def draw_latents(model: LatentDiffusion, z: Tensor) -> list[Image.Image]:
    """Scaled latents (B, C, h, w) as pictures of h × w pixels, by the linear preview."""
    with torch.no_grad():
        x = linear_preview_of(model.autoencoder).apply(z.cpu() / model.scale_factor)
        return to_pil(x)


def encode_frame(pictures: list[Image.Image], *, factor: int = 1) -> bytes:
    """One sheet of all pictures as JPEG, laid out like that of the finished ones.

    Args:
        pictures: Of one size.
        factor: How many times larger they are shown, where that fits.
    """
    scale = min(factor, MAX_FRAME_SIDE / max(grid(pictures, padding=0).size))
    width, height = (max(1, round(scale * side)) for side in pictures[0].size)
    shown = [picture.resize((width, height), Image.Resampling.BILINEAR) for picture in pictures]
    sheet = grid(shown, padding=round(PADDING * scale / factor))
    sheet.thumbnail((MAX_FRAME_SIDE, MAX_FRAME_SIDE), Image.Resampling.BILINEAR)  # the margins may be too much
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
