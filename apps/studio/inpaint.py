"""Tab Inpaint: paint over a part of a picture and have it made anew; the rest comes back as it was."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from PIL import Image, ImageDraw

from apps.studio import canvas
from apps.studio.desks import Desks
from apps.studio.forms import control, upload
from apps.studio.models import Card, Models
from apps.studio.requests import request, seeds_from
from apps.studio.results import Result
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_pil
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.tasks import TASKS, InpaintingSettings
from ldm_lab.tasks.inpainting import seen_mask
from ldm_lab.tasks.kinds import CLASS, MASKED, TEXT, UNCONDITIONAL

TAB = "inpaint"
TASK = "inpainting"
SHOWN_SIDE = 256
FIELDS = ("num_steps", "sampler", "guidance_scale", "strength", "num_resamplings", "jump_length", "padding")


class Inpaint:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks = models, desks
        names = models.serving(MASKED, TEXT, CLASS, UNCONDITIONAL)
        if not names:
            gr.Markdown("None of the models here can repaint. Start the studio with one: `ldm-lab studio FOLDER`.")
            return
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                self._lay_out_form(names)
            with gr.Column(scale=4, min_width=300):
                self._lay_out_result()
        self._connect()

    def _lay_out_form(self, names: list[str]) -> None:
        card = self.models.card(names[0])
        self.model = gr.Dropdown(names, value=card.name, label="Model", visible=len(names) > 1)
        picture, caption = example(card, 0)
        self.picture = canvas.editor(picture, label="Paint over a part")
        with gr.Row(elem_classes="tight"):
            self.use_last = gr.Button("Use the last image of Create", size="sm", min_width=140)
            self.use_example = gr.Button("Another example", size="sm", min_width=140)
        with gr.Accordion("Or upload a mask: white is made anew", open=False):
            self.mask = upload(label="Mask, of the picture's size", height=160)
        self.prompt = gr.Textbox(caption, label="Prompt of the whole picture", lines=2, visible=card.kind is TEXT)
        with gr.Row(elem_classes="tight"):
            self.run = gr.Button("Repaint", variant="primary", scale=3, elem_id="inpaint-run")
            self.stop = gr.Button("Stop", variant="stop", scale=1, min_width=80)
        self.only_masked = control(InpaintingSettings, "only_masked", False, label="Only masked")
        with gr.Accordion("How it is made", open=False):
            self.seed = gr.Number(0, label="Seed", info="-1 draws one", precision=0, minimum=-1)
            self._lay_out_settings(card)

    def _lay_out_settings(self, card: Card) -> None:
        advice = card.resolved(TASKS["text_to_image"].settings(prompt=""))
        defaults = {field.name: field.default for field in InpaintingSettings.__dataclass_fields__.values()}
        shown = {name: getattr(advice, name, defaults[name]) for name in FIELDS}
        self.settings = {name: control(InpaintingSettings, name, value) for name, value in shown.items()}

    def _lay_out_result(self) -> None:
        self.result = Result(TAB, hint="Paint over a part of the picture, then press Repaint.")
        with gr.Row():
            self.seen = gr.Image(
                label="Mask as the latent sees it",
                format="png",
                interactive=False,
                visible=False,
                elem_classes="pixels",
                elem_id="inpaint-seen",
                buttons=["fullscreen"],
            )
        self.before_after = gr.ImageSlider(
            label="Before and after",
            format="png",
            type="pil",
            visible=False,
            interactive=False,
            elem_classes="pixels",
            buttons=["fullscreen"],
        )

    def _connect(self) -> None:
        asked = [self.model, self.picture, self.mask, self.prompt, self.seed, self.only_masked, *self.settings.values()]
        outputs = [*self.result.outputs, self.seen, self.before_after]
        self.run.click(explained(self._repaint), asked, outputs, show_progress="hidden", **MODEL_EVENT)
        self.stop.click(self._stop, None, None, **QUICK_EVENT)
        self.use_last.click(explained(self._last), None, self.picture, **QUICK_EVENT)
        self.index = gr.State(0)
        self.use_example.click(
            explained(self._example), [self.model, self.index], [self.picture, self.prompt, self.index], **QUICK_EVENT
        )
        self.model.change(self._dress, self.model, self.prompt, **QUICK_EVENT)

    def _repaint(
        self,
        visitor: gr.Request,
        model: str,
        drawn: dict[str, Any] | None,
        mask: bytes | None,
        prompt: str,
        seed: float,
        only_masked: bool,
        *values: Any,
    ) -> Iterator[dict[Any, Any]]:
        card, desk = self.models.card(model), self.desks.of(visitor.session_hash)
        image, hole = canvas.picture_and_mask(drawn, mask)
        asked = {"image": image, "mask": hole, "only_masked": only_masked, "seeds": seeds_from(seed, 1)}
        if card.kind is TEXT:
            asked["prompt"] = prompt
        settings = request(TASK, asked | dict(zip(self.settings, values, strict=True)), card=card)
        yield {self.before_after: gr.update(visible=False)}
        with self.models.lent(model) as session:
            seen = session.call(lambda pipeline: seen_mask(pipeline.model, pipeline.resolved(settings))).result()
        yield {self.seen: gr.update(value=drawn_over(image.image, *seen), visible=True)}
        yield from self.result.walk(desk, self.models, model, settings)
        made = desk.runs[TAB]
        yield {self.before_after: gr.update(value=(made.settings.image.image, made.images[0]), visible=True)}

    def _stop(self, visitor: gr.Request) -> None:
        self.desks.of(visitor.session_hash).stop(TAB)

    def _last(self, visitor: gr.Request) -> Image.Image:
        run = self.desks.of(visitor.session_hash).runs.get("create")
        if run is None:
            raise RequestError("there is no image yet; make one in the tab Create, or upload a picture")
        return Image.Image.copy(run.images[0])

    def _example(self, model: str, index: int) -> tuple[Image.Image, str, int]:
        return *example(self.models.card(model), index + 1), index + 1

    def _dress(self, model: str) -> dict[str, Any]:
        return gr.update(visible=self.models.card(model).kind is TEXT)


def example(card: Card, index: int) -> tuple[Image.Image, str]:
    """A scene of the built-in world, of the size that the model makes, and what it shows."""
    scenes = ShapeScenes(split="test", size=card.config.image_size, complete_captions=1.0)
    return to_pil(scenes.images([index]))[0], scenes.captions([index])[0].text


def drawn_over(picture: Image.Image, mask: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """A picture with the mask over it, and a frame around the part that is looked at; enlarged if it is small."""
    shown = picture.copy()
    tint = Image.new("RGB", mask.size, (213, 94, 0))
    part = shown.crop(box)
    part.paste(Image.blend(part, tint, 0.6), mask=mask)
    shown.paste(part, box[:2])
    scale = max(1, SHOWN_SIDE // max(shown.size))
    shown = shown.resize((scale * shown.width, scale * shown.height), Image.Resampling.NEAREST)
    frame = [scale * side - (index >= 2) for index, side in enumerate(box)]
    ImageDraw.Draw(shown).rectangle(frame, outline=(0, 114, 178), width=2)
    return shown
