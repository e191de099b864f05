"""The channels of one latent in the browser."""

import math
from dataclasses import asdict

from ldm_lab.probes import Inspection, normal_histogram
from ldm_lab.probes.latents import LIMIT
from ldm_lab.viz import DIVERGING, channel_limits, color_table, planes
from ldm_lab.widgets.browser_view import BrowserView, script, style

NOTE = (
    f"Bars: how often numbers from −{LIMIT:g} to {LIMIT:g} occur; dashed: the prior, N(0, 1). Line below: power from "
    "coarse to fine; dashed: white noise. KL: divergence from the prior."
)

COARSE = 64  # steps; finer colours than these would show how numbers were rounded on the way
LOWEST_DECADE = -4.0


class LatentView(BrowserView):
    """Numbers, histogram, spectrum and statistics of every channel; hovering shows a cell in all of them."""

    _esm = script("latent_view", "planes")
    _css = style("latent_view", "planes")

    def show(self, found: Inspection, *, shared: bool) -> None:
        """Show another latent.

        Args:
            found: What was measured.
            shared: One scale of colours for all channels, or one for each.
        """
        numbers, densities = planes(found.z), planes(found.histograms[None], bits=8, low=0.0)
        limits = [max(limit, COARSE * numbers.step) for limit in channel_limits(found.z)]
        spectra = [[value if math.isfinite(value) else None for value in row] for row in found.decades.tolist()]
        known = [value for row in spectra for value in row if value is not None]
        self.deliver(
            "latent",
            [numbers.data, densities.data, color_table(DIVERGING)],
            planes=_described(numbers),
            densities=_described(densities),
            limits=[max(limits)] * len(limits) if shared else limits,
            limit=LIMIT,
            normal=normal_histogram().tolist(),
            spectra=spectra,
            decades={"low": max(LOWEST_DECADE, min([-2.0, *known])), "high": max([2.0, *known])},
            facts=_facts(found),
            broken=_broken(found),
            note=NOTE,
        )


def _facts(found: Inspection) -> list[dict[str, str]]:
    """Of each channel, the names of its figures and what they are."""
    figures = {
        "mean": (found.statistics.mean, "+.2f"),
        "deviation": (found.statistics.std, ".2f"),
        "excess kurtosis": (found.statistics.kurtosis, "+.2f"),
        "KL in nats": (found.statistics.kl, ".3f"),
    }
    columns = [[_spelled(value, form) for value in values.tolist()] for values, form in figures.values()]
    return [dict(zip(figures, row, strict=True)) for row in zip(*columns, strict=True)]


def _broken(found: Inspection) -> list[str]:
    """Of each channel, how many of its numbers are none."""
    pairs = zip(found.statistics.num_nan.tolist(), found.statistics.num_infinite.tolist(), strict=True)
    return [f"⚠ {nan} NaN, {infinite} infinite" if nan or infinite else "" for nan, infinite in pairs]


def _spelled(value: float, form: str) -> str:
    return format(value, form).replace("-", "−") if math.isfinite(value) else "none"


def _described(packed: object) -> dict:
    return {name: value for name, value in asdict(packed).items() if name != "data"}
