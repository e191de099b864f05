"""Controls for the fields of settings: limits, step and help are those that the field states; one place for uploads."""

import dataclasses
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
    component.preprocess = content  # type: ignore[method-assign]
    return component


def content(payload: Any) -> bytes | None:
    """The content of an uploaded file, which Gradio has checked to lie among its uploads."""
    if payload is None:
        return None
    if not payload.path:
        raise gr.Error("A picture must be uploaded as a file.", title="The studio says", print_exception=False)
    try:
        return Path(payload.path).read_bytes()
    except OSError:
        raise gr.Error(
            "The picture is no longer here; uploads are deleted after ten minutes. Upload it again.",
            title="The studio says",
            print_exception=False,
        ) from None
