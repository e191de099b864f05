"""What all tabs that make images share: a model, settings, two buttons, and the run that comes of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from apps.studio.desks import Desks
from apps.studio.forms import control
from apps.studio.models import Card, Models
from apps.studio.requests import request, seeds_from
from apps.studio.results import Result
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TaskSettings
from ldm_lab.tasks.kinds import Kind

Updates = Iterator[dict[Any, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Making:
    """In what one of these tabs differs from the others.

    Attributes:
        tab: Where the desk keeps its run, and what the ids of its components begin with.
        tasks: What it carries out, by the kind of the model.
        settings: Class with the fields that it has controls for.
        verb: On the button.
        hint: What to do that an image comes.
        fields: Those under "How it is made".
    """

    tab: str
    tasks: Mapping[Kind, str]
    settings: type[TaskSettings]
    verb: str
    hint: str
    fields: tuple[str, ...] = ()


class Maker:
    """The components that these tabs have in common, each laid out where the tab wants it.

    Attributes:
        names: Models that serve the tab; if there is none, nothing is laid out.
        settings: Controls of settings, by name, once they are laid out.
    """

    def __init__(self, making: Making, models: Models, desks: Desks) -> None:
        self.making, self.models, self.desks = making, models, desks
        self.names = models.serving(*making.tasks)
        self.settings: dict[str, gr.components.Component] = {}

    @property
    def card(self) -> Card:
        """Of the model that is chosen at first."""
        return self.models.card(self.names[0])

    def lay_out_models(self) -> None:
        """The choice of a model, where there is one."""
        self.model = gr.Dropdown(self.names, value=self.names[0], label="Model", visible=len(self.names) > 1)

    def lay_out_buttons(self) -> None:
        """Begin, and stop."""
        with gr.Row(elem_classes="tight"):
            self.run = gr.Button(self.making.verb, variant="primary", scale=3, elem_id=f"{self.making.tab}-run")
            self.stop = gr.Button("Stop", variant="stop", scale=1, min_width=80, elem_id=f"{self.making.tab}-stop")

    def lay_out_settings(self) -> None:
        """Seed and settings, folded away."""
        with gr.Accordion("How it is made", open=False):
            self.seed = gr.Number(0, label="Seed", info="-1 draws one", precision=0, minimum=-1)
            self.lay_out_controls(*self.making.fields)

    def lay_out_controls(self, *names: str) -> None:
        """Controls of some settings, with the values that the model recommends."""
        for name, value in self.card.advice(self.making.settings, names).items():
            self.settings[name] = control(self.making.settings, name, value)

    def lay_out_result(self) -> None:
        """Where the run appears."""
        self.result = Result(self.making.tab, hint=self.making.hint)

    @property
    def inputs(self) -> list[gr.components.Component]:
        """Seed and settings, as ``how`` reads them."""
        return [self.seed, *self.settings.values()]

    def how(self, seed: float, *values: Any) -> dict[str, Any]:
        """What ``inputs`` hold, by the names of the settings."""
        return {"seeds": seeds_from(seed, 1)} | dict(zip(self.settings, values, strict=True))

    def connect(self, asked: Callable[..., dict[str, Any]], inputs: Sequence[Any]) -> None:
        """The button carries out what a tab asks for, besides ``how``.

        Args:
            asked: Values of the settings, from what ``inputs`` hold.
            inputs: Components of the tab.
        """

        def make(visitor: gr.Request, model: str, *values: Any) -> Updates:
            own, shared = values[: len(inputs)], values[len(inputs) :]
            yield from self.walk(visitor, model, asked(*own) | self.how(*shared))

        self.connect_run(make, [*inputs, *self.inputs])

    def connect_run(
        self,
        make: Callable[..., Updates],
        inputs: Sequence[Any],
        outputs: Sequence[Any] = (),
        *,
        more: Sequence[Any] = (),
    ) -> None:
        """The button calls ``make`` with the visitor, the model, and what ``inputs`` hold.

        Args:
            make: Yields updates, at some point those of ``walk``.
            inputs: Components besides the model's.
            outputs: Components besides those of the result.
            more: Events that do the same as the button.
        """
        outputs = [*self.result.outputs, *outputs]
        begin = [self.run.click, *more]
        gr.on(begin, explained(make), [self.model, *inputs], outputs, show_progress="hidden", **MODEL_EVENT)
        self.stop.click(self._stop, None, None, **QUICK_EVENT)
        self.model.change(explained(self._advise), self.model, list(self.settings.values()), **QUICK_EVENT)

    def request(self, model: str, asked: Mapping[str, Any]) -> TaskSettings:
        """Settings of the task that the tab carries out with a model; see ``requests.request``."""
        card = self.models.card(model)
        return request(self.task_of(card), asked, card=card)

    def walk(self, visitor: gr.Request, model: str, asked: Mapping[str, Any], **options: Any) -> Updates:
        """Carry out what is asked for; ``options`` are those of ``Result.walk``."""
        settings, desk = self.request(model, asked), self.desks.of(visitor.session_hash)
        yield from self.result.walk(desk, self.models, model, settings, **options)

    def task_of(self, card: Card) -> str:
        """What the tab carries out with a model.

        Raises:
            RequestError: If it can do nothing with it.
        """
        if card.kind not in self.making.tasks:
            raise RequestError(f"{card.name} is {card.kind.words}; choose one of {', '.join(self.names)}")
        return self.making.tasks[card.kind]

    def _stop(self, visitor: gr.Request) -> None:
        self.desks.of(visitor.session_hash).stop(self.making.tab)

    def _advise(self, model: str) -> list[Any]:
        return list(self.models.card(model).advice(self.making.settings, self.settings).values())


def say_how_to_train(headline: str, sentence: str, *, task: str) -> None:
    """In the place of a tab that no model serves: what it would be, and how to come by a model.

    Args:
        headline: That there is none.
        sentence: What such a model does.
        task: As ``ldm-lab train diffusion`` takes it.
    """
    gr.Markdown(
        f"### {headline}\n\n{sentence} Train a small model on the built-in scenes, then open the studio with its "
        f"folder:\n\n```\nldm-lab train diffusion --task {task} --out runs/{task}\n"
        f"ldm-lab studio runs/{task}/model\n```"
    )
