"""Samples on a plane, in the browser."""

from dataclasses import asdict

import traitlets
from PIL import Image

from ldm_lab.core.images import to_numpy
from ldm_lab.probes import Blend, SampleMap, Samples
from ldm_lab.viz import sprites
from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.pictures import png_of_image

THUMBNAIL = 48  # pixels of a picture on the sheet; 5000 of them take about 6 MB as JPEG
MAX_LETTERS = 80


class Scatter(BrowserView):
    """A map of samples; what lies at an empty place is asked of the kernel, nothing else."""

    _esm = script("scatter")
    _css = style("scatter")

    asked = traitlets.List(traitlets.Float(), help="x and y of the empty place that was clicked.").tag(sync=True)
    selected = traitlets.List(traitlets.Int(), help="Samples that were chosen, by a click or a lasso.").tag(sync=True)

    def show(self, found: SampleMap, samples: Samples) -> None:
        """Show another map."""
        self.withdraw("blend")
        sheet = sprites(samples.pictures, side=THUMBNAIL, max_frames=len(samples.pictures))
        frames = {name: value for name, value in asdict(sheet).items() if name != "data"}
        self.deliver(
            "samples",
            [to_numpy(found.points).astype("<f4").tobytes(), sheet.data],
            frames=frames,
            names=[name[:MAX_LETTERS] for name in samples.names],
        )

    def show_blend(self, x: float, y: float, blend: Blend, image: Image.Image, *, text: str) -> None:
        """Show what lies at a place.

        Args:
            x: To the right.
            y: Upwards.
            blend: What it is made of.
            image: The same, decoded.
            text: One sentence on how far it can be trusted.
        """
        place = {"x": x, "y": y, "neighbours": list(blend.neighbours)}
        self.deliver("blend", [png_of_image(image)], **place, far=blend.is_far, text=text)
