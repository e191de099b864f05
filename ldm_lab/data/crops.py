"""Windows cut from images, where there is something to see."""

import torch
from torch import Tensor

from ldm_lab.core.errors import ShapeError


def detailed_crops(x: Tensor, size: int, *, generator: torch.Generator, tries: int = 4) -> Tensor:
    """Cut one square window from each image: of several random ones, that with the most detail.

    A first stage learns from edges and texture; plain ground teaches it little and costs as much.

    Args:
        x: Images. (B, C, H, W)
        size: Side of the windows in pixels.
        generator: Where the windows lie.
        tries: Windows drawn for each image; detail is their variance.

    Returns:
        (B, C, size, size)

    Raises:
        ShapeError: If a window is larger than an image.
    """
    height, width = x.shape[2:]
    if size > min(height, width):
        raise ShapeError(f"crop is {size} pixels, but the images have {width}x{height}; choose a smaller crop")
    corners = torch.rand(len(x), tries, 2, generator=generator) * torch.tensor([height - size + 1, width - size + 1])
    candidates = torch.stack(
        [
            torch.stack([image[:, top : top + size, left : left + size] for top, left in places])
            for image, places in zip(x, corners.long().tolist(), strict=True)
        ]
    )  # (B, tries, C, size, size)
    detail = candidates.var(dim=(3, 4)).sum(2)  # (B, tries)
    return candidates[torch.arange(len(x)), detail.argmax(1)]
