"""Named boxes on an empty picture."""

import traitlets
from PIL import Image

from ldm_lab.core.layout import Layout, LayoutObject
from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.pictures import png_of_image


class BoxPad(BrowserView):
    """Boxes that are drawn, moved and stretched, each with a word of every vocabulary of a model."""

    _esm = script("pad", "box_pad")
    _css = style("pad", "box_pad")

    width = traitlets.Int(448, help="Pixels on the screen; narrower where there is less room.").tag(sync=True)
    aspect = traitlets.Float(1.0, help="Width of the picture over its height.").tag(sync=True)
    vocabularies = traitlets.List(help="The words of each kind; set before the view is shown.").tag(sync=True)
    max_objects = traitlets.Int(30, help="As many boxes can be drawn.").tag(sync=True)
    boxes = traitlets.List(help="Of each object its names, and its box as shares of the picture.").tag(sync=True)

    @property
    def layout_objects(self) -> Layout:
        """What is drawn.

        Raises:
            RequestError: If a box lies outside of the picture or is inverted.
        """
        return tuple(LayoutObject(tuple(item["names"]), tuple(map(float, item["box"]))) for item in self.boxes)

    def show_layout(self, layout: Layout) -> None:
        """Draw other boxes instead."""
        self.boxes = [{"names": list(item.names), "box": list(item.box)} for item in layout]

    def show_picture(self, image: Image.Image) -> None:
        """Lay a picture below the boxes."""
        self.deliver("picture", [png_of_image(image)], mime="image/png")
