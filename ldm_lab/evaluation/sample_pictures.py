"""Pictures to try things on: scenes that no training has seen, and photographs for what scenes cannot show."""

from PIL import Image, ImageOps

from ldm_lab.core.errors import MissingDependencyError, RequestError
from ldm_lab.core.images import to_pil
from ldm_lab.data.shape_scenes import ShapeScenes

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def scene_picture(number: int) -> Image.Image:
    """A test scene of the built-in world, 64 × 64 pixels, RGB."""
    return to_pil(ShapeScenes(split="test").images([number]))[0]


def photograph(name: str, *, side: int = 256) -> Image.Image:
    """A square photograph that comes with scikit-image, RGB.

    Args:
        name: One of ``PHOTOGRAPHS``.
        side: In pixels; it is scaled, and cut where it is longer.

    Raises:
        RequestError: If there is none of that name.
        MissingDependencyError: If scikit-image is not installed.
    """
    if name not in PHOTOGRAPHS:
        raise RequestError(f"there is no photograph {name!r:.60}; choose one of {', '.join(PHOTOGRAPHS)}")
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependencyError(
            f"photographs come with scikit-image ({error}); pip install 'ldm-lab[metrics]'"
        ) from error
    return ImageOps.fit(Image.fromarray(getattr(data, name)()), (side, side), Image.Resampling.LANCZOS)
