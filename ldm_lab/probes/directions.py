"""Directions in which samples of a model differ most, to go along (GANSpace, Härkönen et al. 2020, for latents)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.errors import RequestError

REACH = 3.0  # standard deviations that one may go to either side


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Directions:
    """Principal components of latents.

    Attributes:
        mean: Of the samples. (C, h, w)
        axes: Of length 1, the one along which they differ most first. (K, C, h, w)
        spread: Standard deviation of the samples along each axis. (K,)
        explained: Share of the samples' variance along each. (K,)
    """

    mean: Tensor
    axes: Tensor
    spread: Tensor
    explained: Tensor

    def moved(self, z: Tensor, amounts: Sequence[float]) -> Tensor:
        """A latent (C, h, w) moved along the axes, each by so many standard deviations.

        Raises:
            RequestError: If there is not one amount for each axis, or one is beyond ``REACH``.
        """
        if len(amounts) != len(self.axes) or any(not -REACH <= amount <= REACH for amount in amounts):
            raise RequestError(f"amounts are {list(amounts)}; give {len(self.axes)} numbers from -{REACH} to {REACH}")
        steps = torch.tensor(amounts, dtype=torch.float32) * self.spread  # (K,)
        return z.float().cpu() + torch.einsum("k,kchw->chw", steps, self.axes)


def principal_directions(z: Tensor, *, count: int = 4) -> Directions:
    """Principal component analysis of latents.

    Args:
        z: Clean latents of samples. (N, C, h, w)
        count: Axes that are kept.

    Raises:
        RequestError: If there are not more samples than axes.
    """
    if len(z) <= count:
        raise RequestError(f"there are {len(z)} samples for {count} directions; make at least {count + 1}")
    points = z.float().cpu().flatten(1)
    mean = points.mean(0)
    _, values, axes = torch.linalg.svd(points - mean, full_matrices=False)
    variances = values.square() / (len(z) - 1)
    shape = z.shape[1:]
    return Directions(
        mean=mean.unflatten(0, shape),
        axes=axes[:count].unflatten(1, shape),
        spread=variances[:count].sqrt(),
        explained=variances[:count] / variances.sum(),
    )
