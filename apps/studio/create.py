"""Tab Create: images of a sentence, of a class, or of nothing in particular, as the chosen model allows."""

from typing import Any

import gradio as gr

from apps.studio.desks import Desks
from apps.studio.forms import control
from apps.studio.maker import Maker, Making, Updates
from apps.studio.models import Card, Models
from apps.studio.requests import MAX_IMAGES, TASK_OF, seeds_from
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.tasks import TASKS, TextToImageSettings
from ldm_lab.tasks.kinds import CLASS, TEXT, UNCONDITIONAL

MAKING = Making(
    tab="create",
    tasks=TASK_OF,
    settings=TextToImageSettings,  # those of the other tasks are among them
    verb="Generate",
    hint="Press Generate: the image appears here while it is made.",
)
SHARED = ("num_steps", "sampler", "width", "height")
GUIDED = ("guidance_scale", "guidance_rescale")
EXAMPLES = [
    "a large red circle left of a small blue star on a white background",
    "a small green triangle above a large yellow square on black",
    "a blue star",
    "two shapes: a purple circle and an orange triangle",
]


class Create:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks, self.maker = models, desks, Maker(MAKING, models, desks)
        if not self.maker.names:
            gr.Markdown(
                "None of the models here makes images of text or classes. Start the studio with the folder of one: "
                "`ldm-lab studio FOLDER`."
            )
            return
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self._lay_out_form(self.maker.card)
            with gr.Column(scale=5, min_width=300):
                self.maker.lay_out_result()
        self._connect()

    def _lay_out_form(self, card: Card) -> None:
        self.maker.lay_out_models()
        self._lay_out_wish(card)
        self.maker.lay_out_buttons()
        with gr.Row(elem_classes="tight"):
            self.seed = gr.Number(0, label="Seed", info="-1 draws one", precision=0, minimum=-1, min_width=120)
            self.count = gr.Slider(1, MAX_IMAGES, value=1, step=1, label="Images", info="each of the next seed")
        with gr.Accordion("How the image is made", open=False):
            self._lay_out_settings(card)
        self.examples = gr.Dataset(
            components=[self.prompt],
            samples=[[example] for example in EXAMPLES],
            label="Examples",
            visible=card.kind is TEXT,
            elem_id="create-examples",
        )

    def _lay_out_wish(self, card: Card) -> None:
        labels = _labels(card)
        self.prompt = gr.Textbox(
            EXAMPLES[0], label="Prompt", lines=2, max_lines=4, visible=card.kind is TEXT, elem_id="create-prompt"
        )
        self.label = gr.Dropdown(labels, value=labels[0] if labels else None, label="Class", visible=bool(labels))

    def _lay_out_settings(self, card: Card) -> None:
        self.maker.lay_out_controls(*SHARED)
        with gr.Group(visible=card.kind is not UNCONDITIONAL) as self.guided:
            self.maker.lay_out_controls(*GUIDED)
            with gr.Row(elem_classes="tight"):
                begin, end = card.advice(TextToImageSettings, ["guidance_interval"])["guidance_interval"]
                self.begin = gr.Slider(0, 1, begin, step=0.05, label="Guidance from", min_width=120)
                self.end = gr.Slider(0, 1, end, step=0.05, label="Guidance to", min_width=120)
        self.negative_prompt = control(
            TextToImageSettings, "negative_prompt", "", visible=card.kind is TEXT, max_lines=2
        )

    def _connect(self) -> None:
        wish = {"prompt": self.prompt, "label": self.label, "negative_prompt": self.negative_prompt}
        wish |= {"seed": self.seed, "count": self.count, "guidance_from": self.begin, "guidance_to": self.end}
        self.inputs = wish | self.maker.settings
        self.maker.connect_run(self._generate, list(self.inputs.values()), more=[self.prompt.submit])
        self.maker.result.gallery.select(explained(self._scrub), None, self.maker.result.scrubber, **MODEL_EVENT)
        self.examples.click(lambda sample: sample[0], self.examples, self.prompt, **QUICK_EVENT)
        dressed = [self.prompt, self.negative_prompt, self.examples, self.label, self.guided]
        self.maker.model.change(explained(self._dress), self.maker.model, dressed, **QUICK_EVENT)

    def _generate(self, visitor: gr.Request, model: str, *values: Any) -> Updates:
        wish = dict(zip(self.inputs, values, strict=True))
        card = self.models.card(model)
        settings = TASKS[self.maker.task_of(card)].settings
        fitting = {name: value for name, value in _read(card, wish).items() if name in settings.__dataclass_fields__}
        yield from self.maker.walk(visitor, model, fitting)

    def _scrub(self, chosen: gr.SelectData, visitor: gr.Request) -> str:
        run = self.desks.of(visitor.session_hash).last_run(MAKING.tab)
        return self.maker.result.strip(run, chosen.index)

    def _dress(self, model: str) -> list[dict[str, Any]]:
        """Show the controls that a model reads."""
        card = self.models.card(model)
        of_text, labels = gr.update(visible=card.kind is TEXT), _labels(card)
        of_classes = gr.update(visible=bool(labels), choices=labels, value=labels[0] if labels else None)
        return [of_text, of_text, of_text, of_classes, gr.update(visible=card.kind is not UNCONDITIONAL)]


def _labels(card: Card) -> list[str]:
    """Names of a model's classes; its numbers where it has no names."""
    if card.kind is not CLASS:
        return []
    config = card.config.conditioner
    return list(config.names or map(str, range(config.num_classes)))


def _read(card: Card, wish: dict[str, Any]) -> dict[str, Any]:
    """What the form holds, by the names of settings."""
    values = dict(wish)
    values["seeds"] = seeds_from(values.pop("seed"), values.pop("count"))
    values["guidance_interval"] = (values.pop("guidance_from"), values.pop("guidance_to"))
    if card.kind is CLASS and card.config.conditioner.names is None and values["label"] is not None:
        values["label"] = int(values["label"])
    return values
