"""A picture and a mask that is painted over it."""

from collections.abc import Callable
from typing import Any

import traitlets
from PIL import Image

from ldm_lab.tasks import MaskPicture
from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.pictures import png_of_image

Box = tuple[int, int, int, int]
OnFile = Callable[[bytes], Any]


class MaskPad(BrowserView):
    """Brush and eraser, hard or soft, over a picture. Every stroke that ends arrives as ``mask``, one byte a pixel.

    The bytes are messages in both directions, so that they stay out of the notebook file.
    """

    _esm = script("pad", "mask_painting", "mask_pad")
    _css = style("pad", "mask_pad")

    width = traitlets.Int(448, help="Pixels on the screen; narrower where there is less room.").tag(sync=True)
    mask = traitlets.Instance(MaskPicture, allow_none=True, help="What is painted; from half on a pixel counts.")

    def __init__(self, *, on_file: OnFile | None = None, **traits: Any) -> None:
        """Make the pad.

        Args:
            on_file: Gets the content of a file that a person uploads as a mask.
            **traits: As for any view.
        """
        super().__init__(**traits)
        self._on_file = on_file
        self.on_msg(self._take)

    def show_picture(self, image: Image.Image, mask: MaskPicture) -> None:
        """Show another picture, and a mask of its size."""
        self.deliver("picture", [png_of_image(image)], width=image.width, height=image.height)
        self.show_mask(mask)

    def show_mask(self, mask: MaskPicture) -> None:
        """Show another mask of the picture's size; whoever paints can take it back."""
        self._deliver_mask(mask.size, mask.pixels)
        self.mask = mask

    def show_seen(self, cells: Image.Image, box: Box, *, num_cells: int, num_all: int) -> None:
        """Show what a model makes of the mask.

        Args:
            cells: White where a cell of the latent is made anew, L, in pixels of the picture.
            box: Which part of the picture that is: left, top, right, bottom.
            num_cells: How many are made anew.
            num_all: How many there are.
        """
        self.deliver("seen", [cells.tobytes()], box=list(box), num_cells=num_cells, num_all=num_all)

    def _deliver_mask(self, size: tuple[int, int], values: bytes, view: str = "") -> None:
        self.deliver("mask", [values], width=size[0], height=size[1], view=view)

    def _take(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """What the browser sends: a mask, or the content of a file."""
        if content.get("topic") == "mask":
            size, values = (content["width"], content["height"]), bytes(buffers[0])
            self._deliver_mask(size, values, content["view"])  # other views of this pad show it too
            self.mask = MaskPicture.from_image(Image.frombytes("L", size, values))
        elif content.get("topic") == "file" and self._on_file is not None:
            self._on_file(bytes(buffers[0]))
