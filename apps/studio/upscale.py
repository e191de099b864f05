"""Tab Upscale: a small picture made larger by a model that was trained for it."""

from typing import Any

import gradio as gr
from PIL import Image

from apps.studio.desks import Desks
from apps.studio.examples import connect_examples, scene
from apps.studio.forms import upload
from apps.studio.maker import Maker, Making, say_how_to_train
from apps.studio.models import Card, Models
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import SuperResolutionSettings
from ldm_lab.tasks.kinds import LOW_RESOLUTION

MAKING = Making(
    tab="upscale",
    tasks={LOW_RESOLUTION: "super_resolution"},
    settings=SuperResolutionSettings,
    verb="Upscale",
    hint="Upload a small picture or take the example, then press Upscale.",
    fields=("num_steps", "sampler", "decoding"),
)


class Upscale:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.maker = Maker(MAKING, models, desks)
        if not self.maker.names:
            say_how_to_train(
                "No model here makes pictures larger",
                "Super-resolution takes a model that was trained on small copies of pictures.",
                task="super-resolution",
            )
            return
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self._lay_out_form(self.maker.card)
            with gr.Column(scale=5, min_width=300):
                self.maker.lay_out_result()
        self.maker.connect(_asked, [self.picture])
        connect_examples(self.use_example, models, self.maker.model, [self.picture], example=small_scene)

    def _lay_out_form(self, card: Card) -> None:
        self.maker.lay_out_models()
        self.picture = upload(
            label="Small picture",
            height=240,
            elem_id="upscale-picture",
            elem_classes=["pixels", "enlarged"],
            value=small_scene(card, 0)[0],
        )
        self.use_example = gr.Button("Another example", size="sm", elem_id="upscale-example")
        self.maker.lay_out_buttons()
        self.maker.lay_out_settings()


def small_scene(card: Card, index: int) -> tuple[Image.Image, str]:
    """A scene of the built-in world, as small as the model expects it, and what it shows."""
    picture, caption = scene(card, index)
    factor = card.config.conditioner.factor
    return picture.resize((picture.width // factor, picture.height // factor), Image.Resampling.BOX), caption


def _asked(picture: bytes | None) -> dict[str, Any]:
    if picture is None:
        raise RequestError("there is no picture; upload one, or take the example")
    return {"image": picture}
