"""What a request may cost: the product of what each limit allows alone would keep a machine busy for days."""

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks.settings import TaskSettings

MAX_PIXEL_STEPS = 500_000_000  # 64 images of 64 × 64 at 1000 steps need 262 million, one of 1024 × 1024 at 50 needs 52


def check_cost(settings: TaskSettings, *, size: tuple[int, int] | None = None) -> None:
    """Refuse a request whose pixels × steps × images are beyond the limit.

    Args:
        settings: Resolved.
        size: Width and height of what is made; None: those of the settings.

    Raises:
        RequestError: With the numbers, and how many images or steps would do.
    """
    width, height = size or (settings.width, settings.height)
    num_images, num_steps = len(settings.image_names), settings.length
    an_image_step = width * height
    cost = num_images * an_image_step * num_steps
    if cost <= MAX_PIXEL_STEPS:
        return
    images, steps = (MAX_PIXEL_STEPS // (an_image_step * other) for other in (num_steps, num_images))
    ways = [f"{count} {name}" for count, name in ((images, "images"), (steps, "steps")) if count > 0]
    raise RequestError(
        f"{num_images} × {width} × {height} pixels × {num_steps} steps are {_millions(cost)} million, more than the "
        f"{_millions(MAX_PIXEL_STEPS)} million of one request; ask for at most {' or '.join([*ways, 'a smaller size'])}"
    )


def _millions(count: int) -> str:
    return f"{-(-count // 10**6):,}"
