"""Tab Create: images of a sentence, of a class, or of nothing in particular, as the chosen model allows."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from apps.studio.desks import Desks
from apps.studio.forms import control
from apps.studio.models import Card, Models
from apps.studio.requests import MAX_IMAGES, request, seeds_from
from apps.studio.results import Result
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TASKS, TextToImageSettings
from ldm_lab.tasks.kinds import CLASS, TEXT, UNCONDITIONAL

TAB = "create"
TASK_OF = {TEXT: "text_to_image", CLASS: "class_to_image", UNCONDITIONAL: "unconditional"}
EXAMPLES = [
    "a large red circle left of a small blue star on a white background",
    "a small green triangle above a large yellow square on black",
    "a blue star",
    "two shapes: a purple circle and an orange triangle",
]
SHARED = ("num_steps", "sampler", "width", "height")
GUIDED = ("guidance_scale", "guidance_rescale", "guidance_interval")


class Create:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks = models, desks
        self.names = models.serving(*TASK_OF)
        if not self.names:
            gr.Markdown(
                "None of the models here makes images of text or classes. Start the studio with the folder of one: "
                "`ldm-lab studio FOLDER`."
            )
            return
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self._lay_out_form(models.card(self.names[0]))
            with gr.Column(scale=5, min_width=300):
                self.result = Result(TAB, hint="Press Generate: the image appears here while it is made.")
        self._connect()

    def _lay_out_form(self, card: Card) -> None:
        self.model = gr.Dropdown(self.names, value=card.name, label="Model", visible=len(self.names) > 1)
        is_text, labels = card.kind is TEXT, _labels(card)
        self.prompt = gr.Textbox(
            EXAMPLES[0], label="Prompt", lines=2, max_lines=4, visible=is_text, elem_id="create-prompt"
        )
        self.label = gr.Dropdown(labels, value=labels[0] if labels else None, label="Class", visible=bool(labels))
        with gr.Row(elem_classes="tight"):
            self.generate = gr.Button("Generate", variant="primary", scale=3, elem_id="create-generate")
            self.stop = gr.Button("Stop", variant="stop", scale=1, min_width=80, elem_id="create-stop")
        with gr.Row(elem_classes="tight"):
            self.seed = gr.Number(0, label="Seed", info="-1 draws one", precision=0, minimum=-1, min_width=120)
            self.count = gr.Slider(1, MAX_IMAGES, value=1, step=1, label="Images", info="each of the next seed")
        with gr.Accordion("How the image is made", open=False):
            self._lay_out_settings(card)
        self.examples = gr.Dataset(
            components=[self.prompt],
            samples=[[example] for example in EXAMPLES],
            label="Examples",
            visible=is_text,
            elem_id="create-examples",
        )

    def _lay_out_settings(self, card: Card) -> None:
        advice = card.resolved(TextToImageSettings(prompt=""))
        self.settings = {name: self._control(name, getattr(advice, name)) for name in SHARED}
        with gr.Group(visible=card.kind is not UNCONDITIONAL) as self.guided:
            for name in GUIDED[:2]:
                self.settings[name] = self._control(name, getattr(advice, name))
            with gr.Row(elem_classes="tight"):
                begin, end = advice.guidance_interval
                self.settings["guidance_from"] = gr.Slider(0, 1, begin, step=0.05, label="Guidance from", min_width=120)
                self.settings["guidance_to"] = gr.Slider(0, 1, end, step=0.05, label="Guidance to", min_width=120)
        is_text = card.kind is TEXT
        self.negative_prompt = control(TextToImageSettings, "negative_prompt", "", visible=is_text, max_lines=2)

    def _control(self, name: str, value: Any) -> gr.components.Component:
        return control(TextToImageSettings, name, value)

    def _connect(self) -> None:
        inputs = [
            self.model,
            self.prompt,
            self.label,
            self.negative_prompt,
            self.seed,
            self.count,
            *self.settings.values(),
        ]
        gr.on(
            [self.generate.click, self.prompt.submit],
            explained(self._generate),
            inputs,
            self.result.outputs,
            show_progress="hidden",
            **MODEL_EVENT,
        )
        self.stop.click(self._stop, None, None, **QUICK_EVENT)
        self.result.gallery.select(explained(self._scrub), None, self.result.scrubber, **MODEL_EVENT)
        self.examples.click(lambda sample: sample[0], self.examples, self.prompt, **QUICK_EVENT)
        dressed = [self.prompt, self.label, self.negative_prompt, self.examples, self.guided]
        advised = [self.settings[name] for name in (*SHARED, "guidance_scale", "guidance_rescale")]
        self.model.change(explained(self._dress), self.model, [*dressed, *advised], **QUICK_EVENT)

    def _generate(
        self,
        visitor: gr.Request,
        model: str,
        prompt: str,
        label: str | None,
        negative_prompt: str,
        seed: float,
        count: float,
        *values: Any,
    ) -> Iterator[dict[Any, Any]]:
        card = self.models.card(model)
        asked = {"seeds": seeds_from(seed, count), **dict(zip(self.settings, values, strict=True))}
        wish = {"prompt": prompt, "negative_prompt": negative_prompt, "label": label}
        settings = request(TASK_OF[card.kind], _fitting(card, asked | wish), card=card)
        yield from self.result.walk(self.desks.of(visitor.session_hash), self.models, model, settings)

    def _stop(self, visitor: gr.Request) -> None:
        self.desks.of(visitor.session_hash).stop(TAB)

    def _scrub(self, chosen: gr.SelectData, visitor: gr.Request) -> str:
        run = self.desks.of(visitor.session_hash).runs.get(TAB)
        if run is None:
            raise RequestError("this run is no longer here; generate it again")
        return self.result.strip(run, chosen.index)

    def _dress(self, model: str) -> list[Any]:
        """Show the controls that a model reads, with the values that it recommends."""
        card = self.models.card(model)
        advice = card.resolved(TextToImageSettings(prompt=""))
        is_text, labels = card.kind is TEXT, _labels(card)
        return [
            gr.update(visible=is_text),
            gr.update(visible=bool(labels), choices=labels, value=labels[0] if labels else None),
            gr.update(visible=is_text),
            gr.update(visible=is_text),
            gr.update(visible=card.kind is not UNCONDITIONAL),
            *(getattr(advice, name) for name in (*SHARED, "guidance_scale", "guidance_rescale")),
        ]


def _labels(card: Card) -> list[str]:
    """Names of a model's classes; its numbers where it has no names."""
    if card.kind is not CLASS:
        return []
    config = card.config.conditioner
    return list(config.names or map(str, range(config.num_classes)))


def _fitting(card: Card, asked: dict[str, Any]) -> dict[str, Any]:
    """Those wishes that settings of this model have."""
    values = dict(asked)
    values["guidance_interval"] = (values.pop("guidance_from"), values.pop("guidance_to"))
    if card.kind is CLASS and card.config.conditioner.names is None and values["label"] is not None:
        values["label"] = int(values["label"])
    known = TASKS[TASK_OF[card.kind]].settings.__dataclass_fields__
    return {name: value for name, value in values.items() if name in known}
