"""Two pictures in turn."""

import traitlets
from PIL import Image

from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.pictures import png_of_image


class Blink(BrowserView):
    """Two pictures on one place, one after the other; the kernel is not asked."""

    _esm = script("blink")
    _css = style("blink")

    names = traitlets.List(traitlets.Unicode(), ["first", "second"], help="What the pictures are.").tag(sync=True)
    width = traitlets.Int(384, help="Pixels on the screen; narrower where there is less room.").tag(sync=True)

    def show(self, first: Image.Image, second: Image.Image) -> None:
        """Show two pictures of one size, without loss."""
        self.deliver("pair", [png_of_image(first), png_of_image(second)], mime="image/png")
