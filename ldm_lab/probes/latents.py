"""What a latent is like, beside the standard normal that it is scaled to resemble."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.errors import ShapeError

NUM_BINS = 32
LIMIT = 4.0  # standard deviations of the prior, to either side


@dataclass(frozen=True, slots=True, eq=False)
class LatentStatistics:
    """Numbers of each channel over all latents and places, in fp64 on the CPU. (C,) each

    Attributes:
        mean: 0 for the prior.
        std: 1 for the prior; divided by n.
        kurtosis: Excess kurtosis, E[(z - mean)^4] / std^4 - 3: 0 for a normal, above 0 for heavy tails.
        kl: KL(N(mean, std^2) ‖ N(0, 1)) in nats for each number, the divergence of the normal with these moments;
            Kingma & Welling 2014, appendix B.
        num_nan: Values that are NaN; they are left out of the other numbers.
        num_infinite: Values that are infinite; left out too.
    """

    mean: Tensor
    std: Tensor
    kurtosis: Tensor
    kl: Tensor
    num_nan: Tensor
    num_infinite: Tensor

    @property
    def num_broken(self) -> int:
        """How many values are NaN or infinite, in all channels."""
        return int((self.num_nan + self.num_infinite).sum())


def latent_statistics(z: Tensor) -> LatentStatistics:
    """Measure latents against the prior N(0, I).

    Args:
        z: Scaled latents. (B, C, h, w)

    Returns:
        Statistics; NaN for a channel without finite values, kurtosis NaN and KL infinite for a constant one.

    Raises:
        ShapeError: If ``z`` has not four dimensions.
    """
    if z.ndim != 4:
        raise ShapeError(f"z has shape {tuple(z.shape)}; expected latents (B, C, h, w)")
    values = z.detach().cpu().double().movedim(1, 0).flatten(1)  # (C, B h w)
    finite = values.isfinite()
    count = finite.sum(1)
    mean = values.where(finite, 0.0).sum(1) / count
    centred = (values - mean[:, None]).where(finite, 0.0)
    variance, fourth = (centred.pow(power).sum(1) / count for power in (2, 4))
    return LatentStatistics(
        mean=mean,
        std=variance.sqrt(),
        kurtosis=fourth / variance.square() - 3.0,
        kl=0.5 * (mean.square() + variance - 1.0 - variance.log()),
        num_nan=values.isnan().sum(1),
        num_infinite=values.isinf().sum(1),
    )


def channel_histograms(z: Tensor, *, bins: int = NUM_BINS, limit: float = LIMIT) -> Tensor:
    """How often the values of each channel occur, as a density that the standard normal can be laid over.

    Args:
        z: One latent; NaN and infinite values are left out. (C, h, w)
        bins: Equal parts of [-limit, limit].
        limit: Values beyond it count in the outermost bins.

    Returns:
        fp64 on the CPU; zeros for a channel without finite values. (C, bins)

    Raises:
        ShapeError: If ``z`` is not one latent.
    """
    _check_one(z)
    edge = limit * (1 - 1e-12)  # the last bin is closed
    found = [channel[channel.isfinite()].clamp(-edge, edge) for channel in z.detach().cpu().double().flatten(1)]
    counts = torch.stack([torch.histc(values, bins, -limit, limit) for values in found])
    totals = counts.sum(1, keepdim=True).clamp(min=1.0)
    return counts / totals * bins / (2.0 * limit)


def normal_histogram(*, bins: int = NUM_BINS, limit: float = LIMIT) -> Tensor:
    """The density of the standard normal in the middle of each bin. fp64 (bins,)"""
    edges = torch.linspace(-limit, limit, bins + 1, dtype=torch.float64)
    middles = (edges[1:] + edges[:-1]) / 2
    return (-0.5 * middles.square()).exp() / math.sqrt(2 * math.pi)


def _check_one(z: Tensor) -> None:
    if z.ndim != 3:
        raise ShapeError(f"z has shape {tuple(z.shape)}; expected one latent (C, h, w)")
