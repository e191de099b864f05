"""Everything that is said of one latent, and what its decoder makes of it."""

from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import LdmLabError
from ldm_lab.probes.latents import LatentStatistics, channel_histograms, latent_statistics
from ldm_lab.probes.spectrum import radial_power_spectrum
from ldm_lab.tasks import Pipeline


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Inspection:
    """One latent.

    Attributes:
        z: The latent. (C, h, w)
        statistics: Of each channel, beside the prior.
        histograms: How often its numbers occur; see ``channel_histograms``. (C, bins)
        decades: log10 of its power by frequency; see ``radial_power_spectrum``. (C, R)
        image: What the decoder makes of it; None: it cannot be decoded.
        problem: Why not, in one sentence; empty if it can.
    """

    z: Tensor
    statistics: LatentStatistics
    histograms: Tensor
    decades: Tensor
    image: Image.Image | None
    problem: str


def inspect_latent(pipeline: Pipeline, z: Tensor) -> Inspection:
    """Measure a latent and decode it; what is wrong with it is part of what is found.

    Args:
        pipeline: Whose latent it is.
        z: A scaled latent. (C, h, w)

    Raises:
        ShapeError: If ``z`` is not one latent.
    """
    histograms = channel_histograms(z)
    image, problem = _decoded(pipeline, z)
    return Inspection(
        z=z,
        statistics=latent_statistics(z[None]),
        histograms=histograms,
        decades=radial_power_spectrum(z[None]).decades[0],
        image=image,
        problem=problem,
    )


def _decoded(pipeline: Pipeline, z: Tensor) -> tuple[Image.Image | None, str]:
    try:
        return pipeline.decode(z[None])[0], ""
    except LdmLabError as error:
        return None, str(error)
