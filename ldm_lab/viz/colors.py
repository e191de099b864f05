"""Colours that a colour-blind person can read, and numbers painted with them."""

import numpy as np
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.core.images import to_numpy

SEQUENTIAL = "viridis"  # dark is little, light is much
DIVERGING = "PuOr"  # white is zero
NOT_A_NUMBER = (255, 0, 255)
LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito 2008


def paint(values: Tensor, *, low: float, high: float, colormap: str = SEQUENTIAL, scale: int = 1) -> Image.Image:
    """Numbers of a plane as colours; values outside take the colour of the end, NaN and infinite ones magenta.

    Args:
        values: A plane. (H, W)
        low: What the first colour stands for.
        high: What the last colour stands for.
        colormap: A name that matplotlib knows.
        scale: Pixels along the side of each number.

    Raises:
        ShapeError: If ``values`` is no plane.
        RequestError: If ``high`` is not above ``low``.
    """
    import matplotlib

    if values.ndim != 2:
        raise ShapeError(f"values have shape {tuple(values.shape)}; expected a plane (H, W)")
    if not low < high:
        raise RequestError(f"low is {low} and high {high}; colours need a range in which high is above low")
    plane = to_numpy(values.float())
    finite = np.isfinite(plane)
    shares = np.clip((np.where(finite, plane, low) - low) / (high - low), 0.0, 1.0)
    pixels = matplotlib.colormaps[colormap](shares, bytes=True)[..., :3]  # (H, W, 3)
    pixels[~finite] = NOT_A_NUMBER
    return Image.fromarray(np.ascontiguousarray(pixels.repeat(scale, 0).repeat(scale, 1)))


def color_table(colormap: str) -> bytes:
    """256 colours of a colour map from its first to its last, three bytes each, for views that paint by themselves."""
    import matplotlib

    return matplotlib.colormaps[colormap](np.linspace(0.0, 1.0, 256), bytes=True)[:, :3].tobytes()
