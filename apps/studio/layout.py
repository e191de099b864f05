"""Tab Layout: name things, say where they are, and have an image made of them."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from PIL import Image

from apps.studio.desks import Desks
from apps.studio.forms import control
from apps.studio.models import Card, Models
from apps.studio.requests import request, seeds_from
from apps.studio.results import Result
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.layout import LayoutObject
from ldm_lab.tasks.kinds import LAYOUT
from ldm_lab.tasks.layout import LayoutToImageSettings, read_object

TAB = "layout"
TASK = "layout_to_image"
SHOWN_SIDE = 320
NO_MODEL = """
### No model here draws layouts

A layout says what is where: *a red circle in this box, a blue star in that one*. Train a small model on the built-in
scenes, then open the studio with its folder:

```
ldm-lab train diffusion --task layout --out runs/layout
ldm-lab studio runs/layout/model
```
"""


class Layout:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks = models, desks
        names = models.serving(LAYOUT)
        if not names:
            gr.Markdown(NO_MODEL)
            return
        card = models.card(names[0])
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self._lay_out_form(names, card)
            with gr.Column(scale=5, min_width=300):
                self.result = Result(TAB, hint="Place things on the left, then press Generate.")
        self._connect()

    def _lay_out_form(self, names: list[str], card: Card) -> None:
        self.model = gr.Dropdown(names, value=card.name, label="Model", visible=len(names) > 1)
        lines = example(card)
        self.lines = gr.Textbox(
            lines,
            label="Things and their boxes",
            info="A line each: names, then left, top, right, bottom as shares of the image",
            lines=4,
            elem_id="layout-lines",
        )
        self.boxes = gr.AnnotatedImage(
            annotated(lines), label="The boxes; click two corners to add one", format="png", show_legend=True
        )
        self.canvas = gr.Image(
            Image.new("RGB", (SHOWN_SIDE, SHOWN_SIDE), "white"),
            label="Click two corners here to add a box",
            format="png",
            interactive=False,
            height=200,
            buttons=[],
        )
        self.corner = gr.State(None)
        self.words = [gr.Dropdown(list(words), value=words[0], label="Name") for words in _vocabularies(card)]
        with gr.Row(elem_classes="tight"):
            self.run = gr.Button("Generate", variant="primary", scale=3, elem_id="layout-run")
            self.stop = gr.Button("Stop", variant="stop", scale=1, min_width=80)
        with gr.Accordion("How it is made", open=False):
            self.seed = gr.Number(0, label="Seed", info="-1 draws one", precision=0, minimum=-1)
            advice = card.resolved(LayoutToImageSettings(layout=()))
            fields = ("num_steps", "sampler", "guidance_scale")
            self.settings = {name: control(LayoutToImageSettings, name, getattr(advice, name)) for name in fields}

    def _connect(self) -> None:
        asked = [self.model, self.lines, self.seed, *self.settings.values()]
        self.run.click(explained(self._generate), asked, self.result.outputs, show_progress="hidden", **MODEL_EVENT)
        self.stop.click(self._stop, None, None, **QUICK_EVENT)
        self.lines.change(explained(annotated), self.lines, self.boxes, **QUICK_EVENT)
        self.canvas.select(
            explained(self._corner), [self.lines, self.corner, *self.words], [self.lines, self.corner], **QUICK_EVENT
        )

    def _generate(
        self, visitor: gr.Request, model: str, lines: str, seed: float, *values: Any
    ) -> Iterator[dict[Any, Any]]:
        asked = {"layout": things(lines), "seeds": seeds_from(seed, 1)}
        asked |= dict(zip(self.settings, values, strict=True))
        settings = request(TASK, asked, card=self.models.card(model))
        yield from self.result.walk(self.desks.of(visitor.session_hash), self.models, model, settings)

    def _stop(self, visitor: gr.Request) -> None:
        self.desks.of(visitor.session_hash).stop(TAB)

    def _corner(
        self, chosen: gr.SelectData, lines: str, corner: tuple[int, int] | None, *names: str
    ) -> tuple[str, tuple[int, int] | None]:
        """The first click keeps a corner, the second adds the box between both."""
        place = (int(chosen.index[0]), int(chosen.index[1]))
        if corner is None:
            return lines, place
        sides = [sorted(pair) for pair in zip(corner, place, strict=True)]
        box = [round(sides[axis][end] / SHOWN_SIDE, 2) for end in (0, 1) for axis in (0, 1)]
        line = " ".join([*names, *(f"{side:g}" for side in box)])
        read_object(line)
        return "\n".join([*filter(None, lines.splitlines()), line]), None


def things(lines: str) -> list[LayoutObject]:
    """Objects of a layout, one a line."""
    return [read_object(line) for line in lines.splitlines() if line.strip()]


def annotated(lines: str) -> tuple[Image.Image, list[tuple[tuple[int, ...], str]]]:
    """The boxes on white, for Gradio's annotated image."""
    boxes = [
        (tuple(round(side * SHOWN_SIDE) for side in thing.box), f"{index + 1} {' '.join(thing.names)}")
        for index, thing in enumerate(things(lines))
    ]
    return Image.new("RGB", (SHOWN_SIDE, SHOWN_SIDE), "white"), boxes


def example(card: Card) -> str:
    """Two things that the model knows, on two lines."""
    first, last = ([words[place] for words in _vocabularies(card)] for place in (0, -1))
    return f"{' '.join(first)} 0.05 0.2 0.5 0.7\n{' '.join(last)} 0.6 0.5 0.9 0.85"


def _vocabularies(card: Card) -> tuple[tuple[str, ...], ...]:
    return card.config.conditioner.vocabularies
