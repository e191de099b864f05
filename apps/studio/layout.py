"""Tab Layout: name things, say where they are, and have an image made of them."""

from typing import Any

import gradio as gr
from PIL import Image, ImageDraw

from apps.studio.desks import Desks
from apps.studio.maker import Maker, Making, say_how_to_train
from apps.studio.models import Card, Models
from apps.studio.sentences import explained
from apps.studio.wiring import QUICK_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.tasks.kinds import LAYOUT
from ldm_lab.tasks.layout import LayoutToImageSettings, read_object
from ldm_lab.viz import LINE_COLORS

SHOWN_SIDE = 320
FONT_SIZE = 13
MAX_DRAWN = 64
EDGE_COLOR = "#cbd5e1"
MAKING = Making(
    tab="layout",
    tasks={LAYOUT: "layout_to_image"},
    settings=LayoutToImageSettings,
    verb="Generate",
    hint="Place things on the left, then press Generate.",
    fields=("num_steps", "sampler", "guidance_scale"),
)


class Layout:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.maker = models, Maker(MAKING, models, desks)
        if not self.maker.names:
            say_how_to_train(
                "No model here draws layouts",
                "A layout says what is where: *a red circle in this box, a blue star in that one*.",
                task="layout",
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
        self.lines = gr.Textbox(
            example(card),
            label="Things and their boxes",
            info="A line each: names, then left, top, right, bottom as shares of the image",
            lines=4,
            elem_id="layout-lines",
        )
        self._lay_out_boxes(card)
        self.maker.lay_out_buttons()
        self.maker.lay_out_settings()

    def _lay_out_boxes(self, card: Card) -> None:
        gr.Markdown("Click two corners to add a box.")
        self.canvas = gr.Image(
            drawn(example(card)),
            label="The boxes",
            show_label=False,  # it would lie over them
            format="png",
            interactive=False,
            buttons=[],
            elem_id="layout-canvas",
        )
        self.corner = gr.State(None)
        with gr.Row(elem_classes="tight"):
            self.words = [gr.Dropdown(label="Name", **options, min_width=120) for options in self._choices(card)]

    def _connect(self) -> None:
        self.maker.connect(lambda lines: {"layout": things(lines)}, [self.lines])
        self.lines.change(explained(drawn), self.lines, self.canvas, **QUICK_EVENT)
        clicked = [self.maker.model, self.lines, self.corner, *self.words]
        changed = [self.lines, self.corner, self.canvas]
        self.canvas.select(explained(self._corner), clicked, changed, **QUICK_EVENT)
        self.maker.model.change(explained(self._dress), self.maker.model, [self.lines, *self.words], **QUICK_EVENT)

    def _corner(
        self, chosen: gr.SelectData, model: str, lines: str, corner: tuple[int, int] | None, *names: str
    ) -> tuple[str, tuple[int, int] | None, Image.Image]:
        """The first click keeps a corner, the second adds the box between both."""
        place = (int(chosen.index[0]), int(chosen.index[1]))
        if corner is None:
            return lines, place, drawn(lines, corner=place)
        said = names[: len(_vocabularies(self.models.card(model)))]
        line = f"{' '.join(said)} {_box_between(corner, place)}"
        read_object(line)
        more = "\n".join([*filter(None, lines.splitlines()), line])
        return more, None, drawn(more)

    def _dress(self, model: str) -> list[Any]:
        """The example and the words of a model."""
        card = self.models.card(model)
        return [example(card), *(gr.update(**options) for options in self._choices(card))]

    def _choices(self, card: Card) -> list[dict[str, Any]]:
        """What each list of words offers: as many lists as the model with most of them needs, the others hidden."""
        shown = [{"choices": list(words), "value": words[0], "visible": True} for words in _vocabularies(card)]
        most = max(len(_vocabularies(self.models.card(name))) for name in self.maker.names)
        return shown + [{"visible": False}] * (most - len(shown))


def things(lines: str) -> list[LayoutObject]:
    """Objects of a layout, one a line."""
    return [read_object(line) for line in lines.splitlines() if line.strip()]


def drawn(lines: str, *, corner: tuple[int, int] | None = None) -> Image.Image:
    """The first boxes on white, each under its names, and a corner of another one that has been clicked.

    Lines that cannot be read, such as one that is being typed, are left out.
    """
    picture = Image.new("RGB", (SHOWN_SIDE, SHOWN_SIDE), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, SHOWN_SIDE - 1, SHOWN_SIDE - 1), outline=EDGE_COLOR)
    for index, thing in enumerate(filter(None, map(_readable, lines.splitlines()[:MAX_DRAWN]))):
        color = LINE_COLORS[index % len(LINE_COLORS)]
        left, top, right, bottom = (round(side * (SHOWN_SIDE - 1)) for side in thing.box)
        draw.rectangle((left, top, right, bottom), outline=color, width=2)
        draw.text((left + 5, top + 3), " ".join(thing.names), fill=color, font_size=FONT_SIZE)
    if corner is not None:
        x, y = corner
        draw.line((x - 6, y, x + 6, y), fill="black", width=2)
        draw.line((x, y - 6, x, y + 6), fill="black", width=2)
    return picture


def example(card: Card) -> str:
    """Two things that the model knows, on two lines."""
    first, last = ([words[place] for words in _vocabularies(card)] for place in (0, -1))
    return f"{' '.join(first)} 0.05 0.2 0.5 0.7\n{' '.join(last)} 0.6 0.5 0.9 0.85"


def _box_between(first: tuple[int, int], second: tuple[int, int]) -> str:
    """Left, top, right and bottom as shares, of two corners in any order."""
    sides = [sorted(pair) for pair in zip(first, second, strict=True)]
    return " ".join(f"{sides[axis][end] / SHOWN_SIDE:.2g}" for end in (0, 1) for axis in (0, 1))


def _readable(line: str) -> LayoutObject | None:
    try:
        return read_object(line)
    except RequestError:
        return None


def _vocabularies(card: Card) -> tuple[tuple[str, ...], ...]:
    return card.config.conditioner.vocabularies
