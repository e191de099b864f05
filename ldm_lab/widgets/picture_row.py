"""Pictures side by side, each with what it is, enlarged together."""

from collections.abc import Mapping

import traitlets
from PIL import Image

from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.pictures import png_of_image


class PictureRow(BrowserView):
    """Pictures beside each other, without loss; zoom and place are the browser's, and the same for all."""

    _esm = script("picture_row")
    _css = style("picture_row")

    width = traitlets.Int(288, help="Pixels of a picture on the screen; narrower where there is less room.").tag(
        sync=True
    )
    zooms = traitlets.Bool(True, help="Whether they can be enlarged.").tag(sync=True)

    def show(self, pictures: Mapping[str, Image.Image]) -> None:
        """Show other pictures, by what they are."""
        data = [png_of_image(picture) for picture in pictures.values()]
        self.deliver("pictures", data, names=list(pictures), mime="image/png")
