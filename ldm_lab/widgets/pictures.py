"""Views of pictures: one that changes often, many to scrub through, two to compare."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import traitlets
from PIL import Image

from ldm_lab.viz import Sprites
from ldm_lab.widgets.browser_view import BrowserView, script, style

MAX_STILL_SIDE = 512


def png_of_image(image: Image.Image) -> bytes:
    """A picture without loss, and without the record that it may carry."""
    buffer = BytesIO()
    Image.Image.save(image, buffer, "PNG")
    return buffer.getvalue()


class FrameView(BrowserView):
    """A picture that changes often. Frames are delivered; the final picture is state, and stays in the notebook."""

    _esm = script("frame_view")
    _css = style("frame_view")

    alt = traitlets.Unicode("", help="What the picture shows, for those who cannot see it.").tag(sync=True)
    width = traitlets.Int(384, help="Pixels on the screen; narrower where there is less room.").tag(sync=True)
    still = traitlets.Bytes(b"", help="PNG of the final picture.").tag(sync=True)

    def paint(self, jpeg: bytes) -> None:
        """Show a frame, such as that of ``Frame`` events."""
        self.deliver("frame", [jpeg], mime="image/jpeg")

    def settle(self, image: Image.Image, *, alt: str = "") -> None:
        """Show the final picture; a small copy of a large one is what the notebook file keeps."""
        small = image.copy()
        small.thumbnail((MAX_STILL_SIDE, MAX_STILL_SIDE))
        self.withdraw("frame")
        self.alt = alt
        self.still = b""  # so that it is shown also if it is the same as before and frames came between
        self.still = png_of_image(small)
        if small.size != image.size:
            self.deliver("frame", [png_of_image(image)], mime="image/png")


class PlotView(BrowserView):
    """A plot; ``label`` says what it shows, to those who cannot see it as well."""

    _esm = script("plot_view")
    _css = style("plot_view")

    width = traitlets.Int(400, help="Pixels on the screen; narrower where there is less room.").tag(sync=True)
    value = traitlets.Bytes(b"", help="PNG, as ``viz.png_of`` makes it.").tag(sync=True)


class CompareSlider(BrowserView):
    """Two pictures on one place, and a slider that moves the border between them; the kernel is not asked."""

    _esm = script("compare_slider")
    _css = style("compare_slider")

    before_name = traitlets.Unicode("before").tag(sync=True)
    after_name = traitlets.Unicode("after").tag(sync=True)
    width = traitlets.Int(384, help="Pixels on the screen; narrower where there is less room.").tag(sync=True)

    def compare(self, before: Image.Image, after: Image.Image) -> None:
        """Show two pictures of one size, without loss."""
        self.deliver("pair", [png_of_image(before), png_of_image(after)], mime="image/png")


class Scrubber(BrowserView):
    """Frames on one or several sheets, scrubbed in the browser: slider, arrow keys, play. The kernel is not asked."""

    _esm = script("scrubber", "scrubbing")
    _css = style("scrubber")

    labels = traitlets.List(traitlets.Unicode(), help="What each frame is.").tag(sync=True)
    index = traitlets.Int(0, help="The frame that is shown first; with reports, where the slider was let go.").tag(
        sync=True
    )
    reports = traitlets.Bool(False, help="Whether the kernel is told where the slider is let go.").tag(sync=True)
    width = traitlets.Int(384, help="Pixels on the screen; narrower where there is less room.").tag(sync=True)

    def show(self, sheets: dict[str, Sprites], labels: Sequence[str], *, follow: bool = False) -> None:
        """Show sheets by their names, all of the same frames.

        Args:
            sheets: One or more; several can be chosen between.
            labels: What each frame is, such as "step 3, t = 700".
            follow: Go to the last frame.
        """
        self.labels = list(labels)
        self.deliver("sheets", [sheet.data for sheet in sheets.values()], **cut_of(sheets), follow=follow)


def cut_of(sheets: dict[str, Sprites]) -> dict[str, Any]:
    """How many frames there are, and how each sheet is cut into them, for the browser."""
    described = [
        {"name": name, "mime": sheet.mime, "columns": sheet.columns, "width": sheet.width, "height": sheet.height}
        for name, sheet in sheets.items()
    ]
    return {"sheets": described, "count": min(len(sheet.indices) for sheet in sheets.values())}
