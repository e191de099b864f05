"""Pictures that the page shows: as PNG, because numbers depend on them, and every pixel a square."""

from typing import Any

import gradio as gr

AS_THEY_ARE: dict[str, Any] = {"format": "png", "interactive": False, "elem_classes": "pixels"}


def shown(label: str, **options: Any) -> gr.Image:
    """A place for a picture, seen once there is one."""
    return gr.Image(**AS_THEY_ARE | {"label": label, "visible": False, "buttons": ["fullscreen"]} | options)


def compared(label: str, **options: Any) -> gr.ImageSlider:
    """A place for two pictures under a slider, seen once there are two."""
    return gr.ImageSlider(
        **AS_THEY_ARE | {"label": label, "type": "pil", "visible": False, "buttons": ["fullscreen"]} | options
    )


def gallery(label: str, **options: Any) -> gr.Gallery:
    """A place for several pictures, seen once there are some."""
    return gr.Gallery(**AS_THEY_ARE | {"label": label, "visible": False, "object_fit": "contain"} | options)
