"""Controls for the fields of settings: limits, step and help are those that the field states; one place for uploads."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from apps.studio.requests import MAX_STEPS
from ldm_lab.tasks import TaskSettings

LABELS = {
    "num_steps": "Steps",
    "guidance_scale": "Guidance",
    "guidance_rescale": "Guidance rescale",
    "num_resamplings": "RePaint: resamplings",
    "jump_length": "RePaint: stretch",
    "negative_prompt": "Negative prompt",
}
CAPS = {"num_steps": MAX_STEPS}


def control(settings: type[TaskSettings], name: str, value: Any, **options: Any) -> gr.components.Component:
    """The control of one field: a list of choices, a slider, a tick, or a line of text.

    Args:
        settings: Class of the settings.
        name: Of the field.
        value: What it shows at first.
        **options: Passed on to Gradio.
    """
    (field,) = (field for field in dataclasses.fields(settings) if field.name == name)
    limits = field.metadata
    said = {"label": LABELS.get(name, name.replace("_", " ").capitalize()), "info": limits["help"], "value": value}
    if limits["choices"] is not None:
        return gr.Dropdown(list(limits["choices"]), **said | options)
    if limits["minimum"] is not None:
        low, high = limits["minimum"], min(limits["maximum"], CAPS.get(name, limits["maximum"]))
        return gr.Slider(**{"minimum": low, "maximum": high, "step": limits["step"] or 1} | said | options)
    if isinstance(value, bool):
        return gr.Checkbox(**said | options)
    return gr.Textbox(**said | options)


def upload(**options: Any) -> gr.Image:
    """A place for a picture, which arrives as the content of its file.

    Gradio would open it before we have looked at its size and format. Do not change its properties by ``gr.update``:
    then Gradio makes the component anew, as one of its own.
    """
    component = gr.Image(type="filepath", format="png", sources=["upload", "clipboard"], **options)
    component.preprocess = partial(_content_of, component)  # type: ignore[method-assign]
    return component


def content(path: str | None, *, below: str | Path) -> bytes:
    """The content of an uploaded file.

    Gradio compares paths with its folder of uploads only where they come marked as files, so that it is done here.

    Args:
        path: As the request names it.
        below: The folder of uploads.

    Raises:
        gr.Error: If it is no upload, or has been deleted since.
    """
    try:
        file = Path(path or "").resolve(strict=True)
        if not file.is_relative_to(Path(below).resolve()) or not file.is_file():
            raise FileNotFoundError
        return file.read_bytes()
    except (OSError, ValueError, RuntimeError):  # it is gone, holds a NUL, or leads in a circle
        raise gr.Error(
            "There is no such upload; a picture is uploaded as a file, and deleted after ten minutes. Upload it again.",
            title="The studio says",
            print_exception=False,
        ) from None


def _content_of(component: gr.Image, payload: Any) -> bytes | None:
    return None if payload is None else content(payload.path, below=component.GRADIO_CACHE)
