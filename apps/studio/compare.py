"""Tab Compare: drop a PNG and have its run; drop two, and see where they differ, in pixels and in settings."""

import dataclasses
from typing import Any

import gradio as gr

from apps.studio import markup
from apps.studio.desks import Desks
from apps.studio.forms import upload
from apps.studio.models import Models
from apps.studio.pictures import compared, shown
from apps.studio.requests import check_limits
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.api import open_run
from ldm_lab.core.errors import ImageError, RequestError
from ldm_lab.core.images import read_image
from ldm_lab.session import python_of
from ldm_lab.tasks import Run
from ldm_lab.viz import error_map

HINT = "Drop a PNG that this page or a notebook has saved; it carries the settings that made it."


class Compare:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks = models, desks
        with gr.Row():
            self.first = upload(
                label="First PNG", height=240, elem_id="compare-first", elem_classes=["pixels", "enlarged"]
            )
            self.second = upload(label="Second PNG, to compare", height=240, elem_classes=["pixels", "enlarged"])
        with gr.Row(elem_classes="tight"):
            self.use_create = gr.Button("First: last image of Create", size="sm", min_width=140)
            self.use_inpaint = gr.Button("Second: last image of Inpaint", size="sm", min_width=140)
        self.status = gr.HTML(markup.status(HINT), elem_classes="status", elem_id="compare-status")
        with gr.Row():
            self.slider = compared("First and second")
            self.difference = shown("Difference: dark is none")
        self.facts = gr.HTML(elem_classes="facts", elem_id="compare-facts")
        with gr.Row():
            self.again = gr.Button("Make the first one again, and compare the bits", visible=False)
        self.remade = shown("Made again", height=256)
        with gr.Accordion("Open in a notebook", open=False, visible=False) as self.notebook:
            self.code = gr.Code(language="python", interactive=False, show_label=False)
        self._connect()

    def _connect(self) -> None:
        shown = [self.status, self.slider, self.difference, self.facts, self.again, self.remade]
        shown += [self.notebook, self.code]
        for picture in (self.first, self.second):
            picture.change(explained(self._look), [self.first, self.second], shown, **QUICK_EVENT)
        self.again.click(explained(self._make_again), self.first, [self.status, self.remade], **MODEL_EVENT)
        self.use_create.click(explained(self._last("create")), None, self.first, **QUICK_EVENT)
        self.use_inpaint.click(explained(self._last("inpaint")), None, self.second, **QUICK_EVENT)

    def _look(self, first: bytes | None, second: bytes | None) -> dict[Any, Any]:
        if first is None and second is None:
            return self._nothing()
        if first is None or second is None:
            return self._one(first or second)
        return self._two(first, second)

    def _nothing(self) -> dict[Any, Any]:
        hidden = (self.slider, self.difference, self.again, self.remade, self.notebook)
        return {self.status: markup.status(HINT), self.facts: ""} | {each: gr.update(visible=False) for each in hidden}

    def _one(self, png: bytes) -> dict[Any, Any]:
        run = open_run(png)
        made_by = run.recorded.model
        asked = {"made by": made_by.name} | spelled(run)
        return self._nothing() | {
            self.status: markup.status(f"{run.settings.task.replace('_', ' ')}: {run.settings.title}"),
            self.facts: markup.facts(asked),
            self.again: gr.update(visible=made_by.name in self.models.cards),
            self.notebook: gr.update(visible=True),
            self.code: python_of(run.settings, model=made_by.name),
        }

    def _two(self, first: bytes, second: bytes) -> dict[Any, Any]:
        pictures = read_image(first), read_image(second)
        if pictures[0].size != pictures[1].size:
            sizes = [f"{picture.width} × {picture.height}" for picture in pictures]
            raise ImageError(f"the pictures have {sizes[0]} and {sizes[1]} pixels; only equal sizes are compared")
        same = pictures[0].tobytes() == pictures[1].tobytes()
        rows, sentence = differing_settings(first, second)
        pixels = "The pictures are equal, pixel for pixel. " if same else "The pictures differ. "
        return self._nothing() | {
            self.status: markup.status(pixels + sentence),
            self.slider: gr.update(value=pictures, visible=True),
            self.difference: gr.update(value=error_map(*pictures), visible=True),
            self.facts: markup.table(rows, header=("setting", "first", "second")) if rows else "",
        }

    def _make_again(self, png: bytes | None) -> dict[Any, Any]:
        if png is None:
            raise RequestError("there is no first picture; drop one")
        recorded = open_run(png)
        card = self.models.card(recorded.recorded.model.name)
        check_limits(recorded.settings, card=card)
        with self.models.lent(card.name) as session:
            run = session.call(lambda pipeline: _made(open_run(png, model=pipeline))).result()
        return {
            self.status: markup.status("Made again.", run.notes),
            self.remade: gr.update(value=run.images[0], visible=True),
        }

    def _last(self, tab: str) -> Any:
        def last(visitor: gr.Request) -> Any:
            return self.desks.of(visitor.session_hash).last_run(tab).images[0]

        return last


def spelled(run: Run) -> dict[str, Any]:
    """What was asked, as words."""
    asked = {field.name: getattr(run.settings, field.name) for field in dataclasses.fields(run.settings)}
    return {name.replace("_", " "): value for name, value in asked.items()}


def differing_settings(first: bytes, second: bytes) -> tuple[list[tuple[str, Any, Any]], str]:
    """Settings in which the runs of two pictures differ, and a sentence about them."""
    try:
        runs = open_run(first), open_run(second)
    except (ImageError, RequestError):
        return [], "Not both of them carry settings that could be compared."
    asked = [{"task": run.settings.task} | spelled(run) for run in runs]
    models = [run.recorded.model.name for run in runs]
    pairs = {"made by": tuple(models)} | {
        name: (asked[0].get(name), asked[1].get(name)) for name in asked[0] | asked[1]
    }
    rows = [(name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]
    return rows, "Their settings are the same." if not rows else "Their settings differ as follows."


def _made(run: Run) -> Run:
    """A run that is opened is made when its images are asked for: here, in the thread of the model."""
    _ = run.outcome
    return run
