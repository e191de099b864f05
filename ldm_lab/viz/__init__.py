"""Numbers to look at: values → PIL images or matplotlib figures, returned and never displayed."""

from ldm_lab.viz.animation import save_frames
from ldm_lab.viz.colors import DIVERGING, LINE_COLORS, SEQUENTIAL, color_table, paint
from ldm_lab.viz.compare import error_map, overlay, shares
from ldm_lab.viz.enlarged import enlarged, factor_to
from ldm_lab.viz.figures import curves, histogram, png_of, scatter
from ldm_lab.viz.labelled import labelled
from ldm_lab.viz.latents import channel_images, channel_limits, principal_colors
from ldm_lab.viz.planes import Planes, planes
from ldm_lab.viz.sprites import Sprites, kept_indices, sprites
from ldm_lab.viz.thumbnails import thumbnails
from ldm_lab.viz.walks import predicted_frames, walk_frames

__all__ = [
    "DIVERGING",
    "LINE_COLORS",
    "SEQUENTIAL",
    "Planes",
    "Sprites",
    "channel_images",
    "channel_limits",
    "color_table",
    "curves",
    "enlarged",
    "error_map",
    "factor_to",
    "histogram",
    "kept_indices",
    "labelled",
    "overlay",
    "paint",
    "planes",
    "png_of",
    "predicted_frames",
    "principal_colors",
    "save_frames",
    "scatter",
    "shares",
    "sprites",
    "thumbnails",
    "walk_frames",
]
