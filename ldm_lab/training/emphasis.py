"""Emphasis: a small thing counts as much as a large one.

A star ten pixels wide covers one cell of a latent in forty, and its five points still less: of a mean over all cells
it is what is learned last. In the first half of the steps, where there is little noise, one can see what is drawn
where, and weights that follow it only say what matters. In the second half they would teach that things are where they
might be, so there are none.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from ldm_lab.core.errors import DataError
from ldm_lab.core.layout import Layout
from ldm_lab.training.cells import cells_of

EMPHATIC = 3.0  # how much more things count whose names are emphatic


def emphasis_on(
    layouts: Sequence[Layout],
    t: Tensor,
    *,
    size: tuple[int, int],
    num_steps: int,
    weight: float,
    emphatic_names: Collection[str] = (),
) -> Tensor:
    """How much the error of each cell counts: 1, and at cells that a thing touches a share of ``weight`` pictures more.

    Args:
        layouts: Objects and boxes of each picture.
        t: Step of each. (B,)
        size: Height and width of the latents.
        num_steps: Of the schedule; from half of it on, all cells count 1.
        weight: What one thing counts altogether, where a whole picture counts 1.
        emphatic_names: Things with one of these names count ``EMPHATIC`` times as much.

    Returns:
        (B, 1, h, w)
    """
    emphasis = torch.ones(len(layouts), 1, *size)
    for row in torch.nonzero(t < num_steps // 2).flatten().tolist():
        for item in layouts[row]:
            touched = cells_of(item.box, size, reach=0.5)
            share = weight if set(item.names).isdisjoint(emphatic_names) else EMPHATIC * weight
            emphasis[row, 0] += share * touched.numel() / touched.sum().clamp(min=1) * touched
    return emphasis


def check_names(names: Collection[str], known: Sequence[str]) -> None:
    """Refuse emphatic names that no thing has.

    Raises:
        DataError: With all names of the data set.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(
            f"emphatic_names has {', '.join(map(repr, unknown))}, which nothing is called; the data set's names are "
            f"{', '.join(known)}"
        )
