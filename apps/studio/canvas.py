"""The canvas on which a mask is painted, and what it says: a picture, and which of its pixels were painted over."""

from functools import partial
from io import BytesIO
from typing import Any

import gradio as gr
from PIL import Image

from apps.studio.forms import content
from ldm_lab.core.errors import ImageError, RequestError
from ldm_lab.core.images import read_image
from ldm_lab.tasks import MaskPicture, Picture


def editor(picture: Image.Image, *, label: str) -> gr.ImageEditor:
    """A picture to paint on, with one brush; what changes its geometry is left out, for the mask must fit.

    Its parts arrive as the content of their files: Gradio would decode them before their size was looked at, and in
    colours of its own choice. Do not change its properties by ``gr.update``, or Gradio makes it anew as its own.
    """
    component = gr.ImageEditor(
        picture,
        label=label,
        type="pil",
        format="png",
        image_mode="RGBA",
        sources=["upload", "clipboard"],
        transforms=(),
        layers=False,
        brush=gr.Brush(
            default_size=max(2, min(picture.size) // 8), colors=["#ffffff"], default_color="#ffffff", color_mode="fixed"
        ),
        eraser=gr.Eraser(default_size="auto"),
        canvas_size=(512, 512),
        height=420,
        elem_id="inpaint-canvas",
        elem_classes="pixels",
    )
    component.convert_and_format_image = partial(_content, component)  # type: ignore[method-assign]
    return component


def picture_and_mask(drawn: dict[str, Any] | None, uploaded: bytes | None) -> tuple[Picture, MaskPicture]:
    """What was drawn, or the uploaded mask instead.

    Args:
        drawn: What the editor says: the contents of ``background`` and ``layers``.
        uploaded: Content of the file of a mask; None takes what was painted.

    Raises:
        RequestError: If there is no picture, or nothing was painted.
        ImageError: If a picture cannot be read, or the mask has another size.
    """
    if drawn is None or drawn.get("background") is None:
        raise RequestError("there is no picture; upload one, or take an example")
    picture = Picture.of(drawn["background"])
    if uploaded is not None:
        return picture, MaskPicture.of(uploaded)
    mask = _painted([layer for layer in drawn.get("layers") or [] if layer is not None], picture.size)
    if mask.getbbox() is None:
        raise RequestError("nothing is painted over; paint on the picture, or upload a mask")
    return picture, MaskPicture.from_image(mask)


def _painted(layers: list[bytes], size: tuple[int, int]) -> Image.Image:
    """Every pixel that any layer covers, be it ever so lightly; colours do not count. L, 0 or 255"""
    mask = Image.new("L", size)
    for layer in layers:
        alpha = _alpha(layer)
        if alpha.size != size:
            raise ImageError(
                f"the mask has {alpha.size[0]} x {alpha.size[1]} pixels, the picture {size[0]} x {size[1]}; clear it "
                "and paint again"
            )
        mask.paste(255, mask=alpha.point(lambda level: 255 if level else 0))
    return mask


def _alpha(layer: bytes) -> Image.Image:
    """How much each pixel of a layer covers: white where it does, on black."""
    read_image(layer)  # for its limits alone
    with Image.open(BytesIO(layer)) as image:
        return image.convert("RGBA").getchannel("A")


def _content(component: gr.ImageEditor, file: Any, flatten_on_white: bool = False) -> bytes | None:
    """In place of ImageEditor's own: the content of a part, which it holds as a file or as bytes."""
    if file is None or isinstance(file, bytes | bytearray | memoryview):
        return None if file is None else bytes(file)
    return content(file.path, below=component.GRADIO_CACHE)
