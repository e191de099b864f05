"""Which cells of a latent a box covers."""

import torch
from torch import Tensor

from ldm_lab.core.layout import Box


def cells_of(box: Box, size: tuple[int, int], *, reach: float = 0.0) -> Tensor:
    """1 at cells whose centre lies in the box, or less than ``reach`` of a cell outside it; 0 elsewhere.

    With a reach of 0.5 these are the cells that have a part in common with the box.

    Args:
        box: Left, top, right and bottom, in [0, 1].
        size: Height and width of the latent.
        reach: In cells.

    Returns:
        (h, w)
    """
    left, top, right, bottom = box
    height, width = size
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    in_rows = (rows > top * height - reach) & (rows < bottom * height + reach)
    in_columns = (columns > left * width - reach) & (columns < right * width + reach)
    return (in_rows[:, None] & in_columns).float()
