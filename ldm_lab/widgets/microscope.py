"""The view of the Linked Microscope: what is delivered to it, once for a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import traitlets

from ldm_lab.viz import DIVERGING, SEQUENTIAL, Planes, Sprites, color_table
from ldm_lab.widgets.browser_view import BrowserView, script, style


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MicroscopeRecord:
    """A walk as the browser needs it.

    Attributes:
        labels: What each step is.
        frames: The predicted picture of each step.
        factor: Pixels of a frame along the side of a cell.
        latents: Of each step. (S, C, h, w)
        densities: How often numbers occur. (S, C, bins)
        normal: The density of the prior in the same bins.
        limit: The bins lie between minus and plus this.
        limits: What the deepest colours of each channel stand for.
    """

    labels: Sequence[str]
    frames: Sprites
    factor: int
    latents: Planes
    densities: Planes
    normal: Sequence[float]
    limit: float
    limits: Sequence[float]


class Microscope(BrowserView):
    """A picture, its latent and its words, linked by the cell that is looked at; hovering needs no kernel."""

    _esm = script("microscope", "planes")
    _css = style("microscope", "planes")

    hint = traitlets.Unicode("", help="What stands where the words will be.").tag(sync=True)
    pinned = traitlets.List(traitlets.Int(), help="Row, column and step of the cell that was clicked.").tag(sync=True)

    def show(self, record: MicroscopeRecord) -> None:
        """Show another walk; what was shown of the one before is forgotten."""
        self.withdraw("attention")
        self.withdraw("influence")
        frames, latents, densities = record.frames, record.latents, record.densities
        tables = [color_table(colormap) for colormap in (DIVERGING, SEQUENTIAL)]
        self.deliver(
            "record",
            [frames.data, latents.data, densities.data, *tables],
            labels=list(record.labels),
            num_channels=latents.shape[1],
            frames={**_described(frames), "factor": record.factor},
            latents=_described(latents),
            densities=_described(densities),
            normal=list(record.normal),
            limit=record.limit,
            limits=list(record.limits),
        )

    def show_attention(self, words: Sequence[str], shares: Planes, most: float) -> None:
        """Show where it looked for each word.

        Args:
            words: In order.
            shares: Attention at every step of the walk. (S, words, h, w)
            most: The largest share.
        """
        self.deliver("attention", [shares.data], words=list(words), planes=_described(shares), most=most)

    def show_influence(self, cell: int, step: int, heat: Planes, *, most: float, text: str) -> None:
        """Show what the decoder makes of a cell.

        Args:
            cell: Its number, row by row.
            step: Number of the step.
            heat: Of every pixel. (H, W)
            most: The largest heat.
            text: One sentence.
        """
        self.deliver("influence", [heat.data], cell=cell, step=step, planes=_described(heat), most=most, text=text)


def _described(packed: Planes | Sprites) -> dict:
    """All but the bytes."""
    return {name: value for name, value in asdict(packed).items() if name != "data"}
