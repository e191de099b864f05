"""The same for programs: named endpoints whose parameters are the fields of the settings, made from them.

``docs/studio.md`` shows how they are called. Values pass untouched from the network to ``request``, which judges them;
files come through Gradio's uploads alone.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components.api_component import Api

from apps.studio.cells import Cells, GridWish, image_of
from apps.studio.desks import Desks
from apps.studio.forms import upload
from apps.studio.models import Models
from apps.studio.requests import read_small, request
from apps.studio.sentences import explained
from apps.studio.wiring import ENDPOINT
from ldm_lab.core.config import to_dict
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TASKS, PastedLatent, Picture, Run, TaskSettings
from ldm_lab.tasks.kinds import CLASS, KINDS, LAYOUT, LOW_RESOLUTION, MASKED, SEMANTIC, TEXT, UNCONDITIONAL, Kind
from ldm_lab.tasks.settings import picture_fields

ANY = (TEXT, CLASS, UNCONDITIONAL)
TASK_ENDPOINTS: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "text_to_image": ("text_to_image", (TEXT,)),
    "class_to_image": ("class_to_image", (CLASS,)),
    "unconditional": ("unconditional", (UNCONDITIONAL,)),
    "layout_to_image": ("layout_to_image", (LAYOUT,)),
    "semantic_to_image": ("semantic_to_image", (SEMANTIC,)),
    "super_resolution": ("super_resolution", (LOW_RESOLUTION,)),
    "inpaint": ("inpainting", (MASKED, *ANY)),
    "outpaint": ("outpainting", (MASKED, *ANY)),
    "image_to_image": ("image_to_image", ANY),
}
SCHEMAS: dict[type, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    tuple: {"type": "array", "items": {}},
    dict: {"type": "object", "additionalProperties": True},
}
REPORT = "settings with nothing left open, notes, model"
LATENT = "shape, and numbers in fp32 as base64"


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of an endpoint.

    Attributes:
        name: As programs give it.
        kind: A key of ``SCHEMAS``, or ``Picture`` for an uploaded file.
        help: One sentence.
        default: What holds if it is not given; ``inspect.Parameter.empty``: it must be.
    """

    name: str
    kind: Any
    help: str
    default: Any = None

    @property
    def component(self) -> gr.components.Component:
        """Through which it comes."""
        if isinstance(self.kind, type) and issubclass(self.kind, Picture):
            return upload(label=self.name, visible=False)
        shown = None if self.default is inspect.Parameter.empty else self.default
        return _value(self.kind, self.help, label=self.name, value=shown)


def add_endpoints(models: Models, desks: Desks, cells: Cells) -> None:
    """Offer everything to programs; on the page nothing of it is seen."""
    with gr.Column(visible=False):
        for name, (task, kinds) in TASK_ENDPOINTS.items():
            _add(name, *_carrying_out(models, desks, task, kinds), outputs=_images_and_report())
        _add("encode", *_encoding(models), outputs=[_value(dict, LATENT, label="latent")])
        _add("decode", *_decoding(models), outputs=_images_and_report()[:1])
        _add("grid", *_gridding(models, desks, cells), outputs=_images_and_report())


def _add(name: str, function: Callable[..., Any], parameters: list[Parameter], *, outputs: list[Any]) -> None:
    inputs = [parameter.component for parameter in parameters]
    called = explained(_with_signature(function, parameters, name=name))
    gr.Button(visible=False).click(called, inputs, outputs, api_name=name, **ENDPOINT)


def _with_signature(function: Callable[..., Any], parameters: list[Parameter], *, name: str) -> Callable[..., Any]:
    """A function of (visitor, values) as one of that name whose arguments have names and a description each, which is
    where Gradio looks for what it tells programs and language models.
    """

    def called(visitor: gr.Request, *values: Any) -> Any:
        named = zip(parameters, values, strict=True)
        return function(visitor, {parameter.name: value for parameter, value in named})

    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arguments = [inspect.Parameter("visitor", place, annotation=gr.Request)]
    arguments += [inspect.Parameter(each.name, place, default=each.default) for each in parameters]
    called.__signature__ = inspect.Signature(_required_first(arguments))  # type: ignore[attr-defined]
    called.__name__ = name
    helps = "\n".join(f"    {each.name}: {each.help}" for each in parameters)
    called.__doc__ = f"{function.__doc__}\n\nArgs:\n{helps}"
    return called


def _required_first(arguments: list[inspect.Parameter]) -> list[inspect.Parameter]:
    return sorted(arguments, key=lambda argument: argument.default is not inspect.Parameter.empty)


def _value(kind: type, help: str, *, label: str, value: Any = None) -> Api:
    """A value of JSON that passes as it is; the description is what Gradio's page for programs shows."""
    return Api(value, {**SCHEMAS[kind], "additional_description": help}, label=label)


def _images_and_report() -> list[Any]:
    return [gr.Gallery(visible=False, format="png", label="images"), _value(dict, REPORT, label="report")]


def _carrying_out(
    models: Models, desks: Desks, task: str, kinds: tuple[Kind, ...]
) -> tuple[Callable[..., Any], list[Parameter]]:
    settings = TASKS[task].settings

    def carry_out(visitor: gr.Request, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        name = _model(models, values.pop("model"), kinds, task)
        asked = request(task, values, card=models.card(name))
        desk = desks.of(visitor.session_hash)
        with models.lent(name) as session:
            job = desk.jobs[task] = session.submit(asked, preview="none")
            try:
                run = job.result()
            finally:
                job.cancel()
                desk.jobs.pop(task, None)
        return [(image, None) for image in run.images], _report(run)

    carry_out.__doc__ = settings.__doc__
    return carry_out, [*_parameters(settings), _model_parameter()]


def _encoding(models: Models) -> tuple[Callable[..., Any], list[Parameter]]:
    def encode(_: gr.Request, values: dict[str, Any]) -> dict[str, Any]:
        """A picture as the latent that its encoder finds most likely, scaled."""
        image = read_small(values["image"])
        with models.lent(_model(models, values["model"], KINDS, "encode")) as session:
            return PastedLatent.of(session.encode(image)).to_json()

    return encode, [Parameter("image", Picture, "a picture"), _model_parameter()]


def _decoding(models: Models) -> tuple[Callable[..., Any], list[Parameter]]:
    def decode(_: gr.Request, values: dict[str, Any]) -> list[Any]:
        """Latents, as encode gives them, as images."""
        name = _model(models, values["model"], KINDS, "decode")
        z = PastedLatent.from_json(values["latent"]).tensor()
        z = z if z.ndim == 4 else z[None]
        if z.shape[1] != models.card(name).config.autoencoder.latent_channels:
            raise RequestError(
                f"the latent has {z.shape[1]} channels, those of {name} have "
                f"{models.card(name).config.autoencoder.latent_channels}"
            )
        with models.lent(name) as session:
            return [(image, None) for image in session.decode(z)]

    return decode, [Parameter("latent", dict, "what encode gave", inspect.Parameter.empty), _model_parameter()]


def _gridding(models: Models, desks: Desks, cells: Cells) -> tuple[Callable[..., Any], list[Parameter]]:
    def grid(visitor: gr.Request, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Two settings against each other: the cells row by row, and how many stand in a row."""
        name = _model(models, values.pop("model"), ANY, "grid")
        card, desk = models.card(name), desks.of(visitor.session_hash)
        made, store = GridWish(**values).planned(card), cells.of(visitor.session_hash)
        with models.lent(name) as session:
            found = [
                image_of(cell.settings, store=store, desk=desk, session=session, card=card)[0] for cell in made.cells
            ]
        size = {"columns": made.num_columns, "rows": len(found) // made.num_columns}
        return [(image, None) for image in found], size

    return grid, [
        Parameter("prompt", str, "Sentence, or class.", inspect.Parameter.empty),
        Parameter("x_name", str, "Setting that varies along a row.", "guidance_scale"),
        Parameter("x_values", str, "Its values, with commas between.", "1, 3, 6"),
        Parameter("y_name", str, "Setting that varies from row to row; empty: none.", ""),
        Parameter("y_values", str, "Its values.", ""),
        Parameter("seed", int, "Of all cells.", 0),
        Parameter("num_steps", int, "Unless it is an axis.", 20),
        _model_parameter(),
    ]


def _parameters(settings: type[TaskSettings]) -> list[Parameter]:
    """The fields of a settings class, required ones first."""
    hints, pictures = typing.get_type_hints(settings), picture_fields(settings)
    found = []
    for field in dataclasses.fields(settings):
        is_required = field.default is dataclasses.MISSING and field.name not in pictures
        default = inspect.Parameter.empty if is_required else _plain(field.default)
        kind = pictures.get(field.name) or _kind(hints[field.name])
        found.append(Parameter(field.name, kind, field.metadata["help"], default))
    return sorted(found, key=lambda parameter: parameter.default is not inspect.Parameter.empty)


def _plain(value: Any) -> Any:
    if value is dataclasses.MISSING:
        return None
    return list(value) if isinstance(value, tuple) else value


def _kind(hint: Any) -> Any:
    """What of JSON a field takes; where it takes several things, the first of them."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return typing.get_origin(options[0]) or options[0]


def _model_parameter() -> Parameter:
    return Parameter("model", str, "Name of a model of the page; none: the first that fits.")


def _model(models: Models, name: Any, kinds: tuple[Kind, ...], task: str) -> str:
    """The model that was asked for, or the first of those that can do it."""
    if name is not None and name != "":
        return models.card(name).name
    fitting = models.serving(*kinds)
    if not fitting:
        words = " or ".join(kind.words for kind in kinds)
        raise RequestError(f"{task.replace('_', ' ')} needs a model that is {words}, and there is none here")
    return fitting[0]


def _report(run: Run) -> dict[str, Any]:
    """What made the images; pictures among the settings are left out, whoever asked has them."""
    record = to_dict(run.record)
    pictures = picture_fields(type(run.settings))
    settings = {name: value for name, value in record["settings"].items() if name not in pictures}
    return {"settings": settings, "notes": list(run.notes), "model": record["provenance"]["model"]}
