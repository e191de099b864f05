"""Tab Upscale: a small picture made larger by a model that was trained for it."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from PIL import Image

from apps.studio.desks import Desks
from apps.studio.forms import control, upload
from apps.studio.inpaint import example
from apps.studio.models import Card, Models
from apps.studio.requests import request, seeds_from
from apps.studio.results import Result
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import SuperResolutionSettings
from ldm_lab.tasks.kinds import LOW_RESOLUTION

TAB = "upscale"
TASK = "super_resolution"
NO_MODEL = """
### No model here makes pictures larger

Super-resolution takes a model that was trained on small copies of pictures. Train one on the built-in scenes, then open
the studio with its folder:

```
ldm-lab train diffusion --task super-resolution --out runs/sr4
ldm-lab studio runs/sr4/model
```
"""


class Upscale:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks = models, desks
        names = models.serving(LOW_RESOLUTION)
        if not names:
            gr.Markdown(NO_MODEL)
            return
        card = models.card(names[0])
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self._lay_out_form(names, card)
            with gr.Column(scale=5, min_width=300):
                self.result = Result(TAB, hint="Upload a small picture or take the example, then press Upscale.")
        self._connect()

    def _lay_out_form(self, names: list[str], card: Card) -> None:
        self.model = gr.Dropdown(names, value=card.name, label="Model", visible=len(names) > 1)
        self.picture = upload(
            label="Small picture", height=240, elem_classes=["pixels", "enlarged"], value=small_example(card)
        )
        self.use_example = gr.Button("Another example", size="sm")
        with gr.Row(elem_classes="tight"):
            self.run = gr.Button("Upscale", variant="primary", scale=3, elem_id="upscale-run")
            self.stop = gr.Button("Stop", variant="stop", scale=1, min_width=80)
        with gr.Accordion("How it is made", open=False):
            self.seed = gr.Number(0, label="Seed", info="-1 draws one", precision=0, minimum=-1)
            advice = card.resolved(SuperResolutionSettings.of(image=small_example(card)))
            fields = ("num_steps", "sampler", "decoding")
            self.settings = {name: control(SuperResolutionSettings, name, getattr(advice, name)) for name in fields}
        self.index = gr.State(0)

    def _connect(self) -> None:
        asked = [self.model, self.picture, self.seed, *self.settings.values()]
        self.run.click(explained(self._upscale), asked, self.result.outputs, show_progress="hidden", **MODEL_EVENT)
        self.stop.click(self._stop, None, None, **QUICK_EVENT)
        self.use_example.click(
            explained(self._example), [self.model, self.index], [self.picture, self.index], **QUICK_EVENT
        )

    def _upscale(
        self, visitor: gr.Request, model: str, picture: bytes | None, seed: float, *values: Any
    ) -> Iterator[dict[Any, Any]]:
        if picture is None:
            raise RequestError("there is no picture; upload one, or take the example")
        asked = {"image": picture, "seeds": seeds_from(seed, 1)} | dict(zip(self.settings, values, strict=True))
        settings = request(TASK, asked, card=self.models.card(model))
        yield from self.result.walk(self.desks.of(visitor.session_hash), self.models, model, settings)

    def _stop(self, visitor: gr.Request) -> None:
        self.desks.of(visitor.session_hash).stop(TAB)

    def _example(self, model: str, index: int) -> tuple[Image.Image, int]:
        return small_example(self.models.card(model), index + 1), index + 1


def small_example(card: Card, index: int = 0) -> Image.Image:
    """A scene of the built-in world, as small as the model expects it."""
    picture = example(card, index)[0]
    factor = card.config.conditioner.factor
    return picture.resize((picture.width // factor, picture.height // factor), Image.Resampling.BOX)
