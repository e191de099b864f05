"""Tab Inpaint: paint over a part of a picture and have it made anew; the rest comes back as it was."""

from typing import Any

import gradio as gr
from PIL import Image, ImageDraw

from apps.studio import canvas
from apps.studio.desks import Desks
from apps.studio.examples import connect_examples, scene
from apps.studio.forms import control, upload
from apps.studio.maker import Maker, Making, Updates
from apps.studio.models import Models
from apps.studio.pictures import compared, shown
from apps.studio.sentences import explained
from apps.studio.wiring import QUICK_EVENT
from ldm_lab.tasks import InpaintingSettings, Run
from ldm_lab.tasks.inpainting import seen_mask
from ldm_lab.tasks.kinds import CLASS, MASKED, TEXT, UNCONDITIONAL
from ldm_lab.viz import enlarged, factor_to

SHOWN_SIDE = 256
MASK_COLOR, FRAME_COLOR = (213, 94, 0), (0, 114, 178)
MAKING = Making(
    tab="inpaint",
    tasks=dict.fromkeys((MASKED, TEXT, CLASS, UNCONDITIONAL), "inpainting"),
    settings=InpaintingSettings,
    verb="Repaint",
    hint="Paint over a part of the picture, then press Repaint.",
    fields=(
        *("num_steps", "sampler", "guidance_scale", "strength", "masked_content", "mask_blur"),
        *("num_resamplings", "jump_length", "padding"),
    ),
)


class Inpaint:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks, self.maker = models, desks, Maker(MAKING, models, desks)
        if not self.maker.names:
            gr.Markdown("None of the models here can repaint. Start the studio with one: `ldm-lab studio FOLDER`.")
            return
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                self._lay_out_form()
            with gr.Column(scale=4, min_width=300):
                self._lay_out_result()
        self._connect()

    def _lay_out_form(self) -> None:
        self.maker.lay_out_models()
        picture, caption = scene(self.maker.card, 0)
        self.picture = canvas.editor(picture, label="Paint here")
        with gr.Row(elem_classes="tight"):
            self.use_last = gr.Button("Use the last image of Create", size="sm", min_width=140)
            self.use_example = gr.Button("Another example", size="sm", min_width=140)
        with gr.Accordion("Or upload a mask: white is made anew", open=False):
            self.mask = upload(label="Mask, of the picture's size", height=160)
        is_text = self.maker.card.kind is TEXT
        self.prompt = gr.Textbox(caption, label="Prompt of the whole picture", lines=2, visible=is_text)
        self.maker.lay_out_buttons()
        self.only_masked = control(InpaintingSettings, "only_masked", False, label="Only masked")
        self.maker.lay_out_settings()

    def _lay_out_result(self) -> None:
        self.maker.lay_out_result()
        self.seen = shown("Mask as the latent sees it", elem_id="inpaint-seen")
        self.before_after = compared("Before and after")

    def _connect(self) -> None:
        asked = [self.picture, self.mask, self.prompt, self.only_masked, *self.maker.inputs]
        self.maker.connect_run(self._repaint, asked, [self.seen, self.before_after])
        self.use_last.click(explained(self._last), None, self.picture, **QUICK_EVENT)
        shown_by_example = [self.picture, self.prompt]
        connect_examples(self.use_example, self.models, self.maker.model, shown_by_example, example=scene)
        self.maker.model.change(explained(self._dress), self.maker.model, self.prompt, **QUICK_EVENT)

    def _repaint(
        self,
        visitor: gr.Request,
        model: str,
        drawn: dict[str, Any] | None,
        mask: bytes | None,
        prompt: str,
        only_masked: bool,
        *how: Any,
    ) -> Updates:
        image, hole = canvas.picture_and_mask(drawn, mask)
        said = {"prompt": prompt} if self.models.card(model).kind is TEXT else {}
        asked = {"image": image, "mask": hole, "only_masked": only_masked} | said | self.maker.how(*how)
        seen = {self.seen: gr.update(value=self._seen(model, asked), visible=True)}
        yield {self.before_after: gr.update(visible=False)} | seen
        yield from self.maker.walk(visitor, model, asked, besides=lambda run: seen | self._compared(run))

    def _compared(self, run: Run) -> dict[Any, Any]:
        """The picture as it was and as it is."""
        return {self.before_after: gr.update(value=(run.settings.image.image, run.images[0]), visible=True)}

    def _seen(self, model: str, asked: dict[str, Any]) -> Image.Image:
        """The picture with the mask that the walk will see."""
        settings = self.maker.request(model, asked)
        with self.models.lent(model) as session:
            mask, box = session.call(lambda pipeline: seen_mask(pipeline.model, pipeline.resolved(settings))).result()
        return drawn_over(asked["image"].image, mask, box)

    def _last(self, visitor: gr.Request) -> Image.Image:
        return Image.Image.copy(self.desks.of(visitor.session_hash).last_run("create").images[0])

    def _dress(self, model: str) -> dict[str, Any]:
        return gr.update(visible=self.models.card(model).kind is TEXT)


def drawn_over(picture: Image.Image, mask: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """A picture with the mask over it, and a frame around the part that is looked at; enlarged if it is small."""
    covered = picture.copy()
    part = covered.crop(box)
    part.paste(Image.blend(part, Image.new("RGB", mask.size, MASK_COLOR), 0.6), mask=mask)
    covered.paste(part, box[:2])
    factor = factor_to(*covered.size, side=SHOWN_SIDE)
    covered = enlarged(covered, side=SHOWN_SIDE)
    left, top, right, bottom = (factor * side for side in box)
    ImageDraw.Draw(covered).rectangle((left, top, right - 1, bottom - 1), outline=FRAME_COLOR, width=2)
    return covered
