"""Tab Latents: what lies between noise and image. Look at its channels, pick a cell, change numbers and decode."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from PIL import Image, ImageDraw

from apps.studio import markup
from apps.studio.desks import Desk, Desks, Latent
from apps.studio.examples import connect_examples, scene
from apps.studio.forms import control, upload
from apps.studio.models import Models
from apps.studio.pictures import gallery, shown
from apps.studio.requests import read_small
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.probes import latent_statistics, word_attention
from ldm_lab.session import Session
from ldm_lab.tasks import AddNoise, Adjust, MaskPicture, Paint, Recipe, Renormalise, TextToImageSettings
from ldm_lab.tasks.latent_edits import EditedPlace, LatentEdit, unnatural_spread
from ldm_lab.viz import LINE_COLORS, channel_images, enlarged, factor_to, principal_colors, shares

HINT = "Make an image in the tab Create and take it here, or upload a picture to encode."
NOISY, PREDICTED = "noisy z_t", "predicted z_0"
KINDS = {"Multiply and add": Adjust, "Set to a value": Paint, "Mix with noise": AddNoise, "Renormalise": Renormalise}
EVERYWHERE, AROUND = "everywhere", "around the chosen cell"
SHOWN_SIDE = 384
CHANNEL_SIDE = 128
PATCH_SIDE = 160
FRAME_COLOR = (213, 94, 0)
WORD_STRENGTH = 0.5  # of a dozen maps over each other


class Latents:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks = models, desks
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self._lay_out_source()
                self._lay_out_edit()
            with gr.Column(scale=5, min_width=300):
                self._lay_out_views()
        self._connect()

    def _lay_out_source(self) -> None:
        self.take = gr.Button("Take the last image of Create", variant="primary", elem_id="latents-take")
        with gr.Row(elem_classes="tight"):
            self.which = gr.Radio([PREDICTED, NOISY], value=PREDICTED, label="Which latent", min_width=150)
            self.step = gr.Slider(0, 100, value=100, step=5, label="How far on the way, %", min_width=150)
        with gr.Accordion("Or encode a picture", open=False):
            names = list(self.models.cards)
            self.model = gr.Dropdown(names, value=names[0], label="By the first stage of", visible=len(names) > 1)
            self.picture = upload(label="Picture", height=180, elem_classes=["pixels", "enlarged"])
            self.use_example = gr.Button("A scene of the built-in world", size="sm", elem_id="latents-example")
            self.encode = gr.Button("Encode", elem_id="latents-encode")

    def _lay_out_edit(self) -> None:
        with gr.Accordion("Change it", open=True):
            self.kind = gr.Dropdown(list(KINDS), value=next(iter(KINDS)), label="What is done")
            self.channels = gr.CheckboxGroup([], label="Channels", info="none ticked: all")
            self.region = gr.Radio([EVERYWHERE, AROUND], value=EVERYWHERE, label="Where")
            self.reach = gr.Slider(0, 16, value=2, step=1, label="Cells around it", visible=False)
            self.numbers = [
                control(Adjust, "gain", 1.5, minimum=-3, maximum=3),
                control(Adjust, "shift", 0.0, minimum=-3, maximum=3),
                control(Paint, "value", 0.0, minimum=-3, maximum=3, step=0.1, visible=False),
                control(AddNoise, "amount", 0.5, visible=False),
            ]
            with gr.Row(elem_classes="tight"):
                self.apply = gr.Button("Change and decode", variant="primary", scale=2, elem_id="latents-apply")
                self.undo = gr.Button("As it was", scale=1, min_width=100)

    def _lay_out_views(self) -> None:
        self.status = gr.HTML(markup.status(HINT), elem_classes="status", elem_id="latents-status")
        self.decoded = shown("Decoded; click a cell", elem_id="latents-decoded")
        self.channel_views = gallery(
            "Channels, and all of them as colours",
            show_label=False,
            columns=5,
            height="auto",
            allow_preview=False,
            elem_id="latents-channels",
        )
        self.facts = gr.HTML(elem_classes="facts", elem_id="latents-facts")
        with gr.Row():
            self.patch = shown("Its patch", height=180, buttons=[])
            self.cell_facts = gr.HTML(elem_classes="facts", elem_id="latents-cell", min_width=240)
        self.words = gr.AnnotatedImage(
            label="Where each word was looked for",
            format="png",
            visible=False,
            elem_classes="pixels",
            elem_id="latents-words",
        )

    def _connect(self) -> None:
        views = [self.status, self.decoded, self.channel_views, self.facts, self.patch, self.cell_facts, self.words]
        gr.on(
            [self.take.click, self.which.input, self.step.release],
            explained(self._take),
            [self.which, self.step],
            [*views, self.channels],
            show_progress="hidden",
            **MODEL_EVENT,
        )
        self.encode.click(explained(self._encode), [self.model, self.picture], [*views, self.channels], **MODEL_EVENT)
        connect_examples(self.use_example, self.models, self.model, [self.picture], example=scene)
        edit = [self.kind, self.channels, self.region, self.reach, *self.numbers]
        self.apply.click(explained(self._apply), edit, views, show_progress="minimal", **MODEL_EVENT)
        self.undo.click(explained(self._undo), None, views, **MODEL_EVENT)
        self.decoded.select(explained(self._pick), None, views, show_progress="minimal", **MODEL_EVENT)
        self.kind.change(_dress, self.kind, self.numbers, **QUICK_EVENT)
        self.region.change(lambda region: gr.update(visible=region == AROUND), self.region, self.reach, **QUICK_EVENT)

    def _take(self, visitor: gr.Request, which: str, share: float) -> dict[Any, Any]:
        desk = self.desks.of(visitor.session_hash)
        run = desk.last_run("create")
        if not run.trajectory:
            raise RequestError("the last image has no steps; make one with at least one step")
        place = round(share / 100 * (len(run.trajectory) - 1))
        step = run.trajectory[place]
        z = (step.z_t if which == NOISY else step.z_0_pred)[:1]
        words = desk.latent.words if desk.latent is not None and desk.latent.run is run else None
        desk.latent = Latent(z=z, before=z, model=desk.models["create"], run=run, words=words)
        sentence = f"{which} at step {place + 1} of {len(run.trajectory)}, t = {step.t:.0f}"
        return self._opened(desk.latent, sentence)

    def _encode(self, visitor: gr.Request, model: str, picture: bytes | None) -> dict[Any, Any]:
        image = read_small(picture)
        with self.models.lent(model) as session:
            z = session.encode(image)
        desk = self.desks.of(visitor.session_hash)
        desk.latent = Latent(z=z, before=z, model=model)
        return self._opened(desk.latent, f"Encoded by the first stage of {model}")

    def _apply(
        self, visitor: gr.Request, kind: str, channels: list[str], region: str, reach: float, *numbers: float
    ) -> dict[Any, Any]:
        latent = self._latent(visitor)
        edit = _edit(kind, channels, _cells(latent, region, int(reach)), numbers)
        place = EditedPlace(before=latent.z, seeds=(0,))
        after = Recipe((edit,)).apply(place)
        warnings = [note.partition(": ")[2] for note in unnatural_spread(latent.before, after)]
        latent.z = after
        return self._show(latent, f"{kind}, {region}; decoded again.", warnings)

    def _undo(self, visitor: gr.Request) -> dict[Any, Any]:
        latent = self._latent(visitor)
        latent.z = latent.before
        return self._show(latent, "As it was.")

    def _pick(self, visitor: gr.Request, chosen: gr.SelectData) -> dict[Any, Any]:
        latent = self._latent(visitor)
        height, width = latent.z.shape[2:]
        factor = self._factor(latent)
        side = factor * factor_to(factor * width, factor * height, side=SHOWN_SIDE)
        column, row = (int(place) // side for place in chosen.index)
        latent.cell = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
        return self._show(latent, f"Cell at row {latent.cell[0]}, column {latent.cell[1]}.")

    def _latent(self, visitor: gr.Request) -> Latent:
        desk: Desk = self.desks.of(visitor.session_hash)
        if desk.latent is None:
            raise RequestError("there is no latent yet; take an image of Create, or encode a picture")
        return desk.latent

    def _opened(self, latent: Latent, sentence: str) -> dict[Any, Any]:
        count = latent.z.shape[1]
        return self._show(latent, sentence) | {
            self.channels: gr.update(choices=[str(index) for index in range(count)], value=[])
        }

    def _show(self, latent: Latent, sentence: str, notes: Any = ()) -> dict[Any, Any]:
        with self.models.lent(latent.model) as session:
            (image,) = session.decode(latent.z)
            picked = self._picked(session, latent, image)
        cells = [(view, f"channel {index}") for index, view in enumerate(_channels(latent))]
        return {
            self.status: markup.status(sentence, notes),
            self.decoded: gr.update(value=_marked(image, latent, self._factor(latent)), visible=True),
            self.channel_views: gr.update(value=[*cells, (_principal(latent), "as colours")], visible=True),
            self.facts: _statistics(latent),
        } | picked

    def _picked(self, session: Session, latent: Latent, image: Image.Image) -> dict[Any, Any]:
        """What is said of the chosen cell."""
        if latent.cell is None:
            return {self.patch: gr.update(visible=False), self.cell_facts: "", self.words: gr.update(visible=False)}
        row, column = latent.cell
        factor = self._factor(latent)
        patch = image.crop((column * factor, row * factor, (column + 1) * factor, (row + 1) * factor))
        numbers = latent.z[0, :, row, column].tolist()
        facts = {f"channel {index}": f"{number:+.3f}" for index, number in enumerate(numbers)}
        self._attend(session, latent)
        if latent.words is not None:
            facts |= {f"looks at “{w}”": f"{100 * share:.1f} %" for w, share in latent.words.at(row, column).items()}
        return {
            self.patch: gr.update(value=enlarged(patch, side=PATCH_SIDE), visible=True),
            self.cell_facts: markup.facts(facts),
            self.words: self._annotated(latent),
        }

    def _attend(self, session: Session, latent: Latent) -> None:
        """Find out where the run looked for each word: made again with the same seed, once."""
        if latent.words is None and latent.run is not None and isinstance(latent.run.settings, TextToImageSettings):
            settings = latent.run.settings
            if settings.prompt and not settings.later_prompts and not latent.run.partial:
                latent.words = session.call(lambda pipeline: word_attention(pipeline, settings)).result()

    def _annotated(self, latent: Latent) -> dict[str, Any]:
        if latent.words is None or latent.run is None:
            return gr.update(visible=False)
        image = enlarged(latent.run.images[0], side=SHOWN_SIDE)
        masks = [
            (shares(heat, image.size, strength=WORD_STRENGTH), f"{index + 1} {word.text}")
            for index, (word, heat) in enumerate(zip(latent.words.words, latent.words.maps[0], strict=True))
        ]
        colors = {label: LINE_COLORS[index % len(LINE_COLORS)] for index, (_, label) in enumerate(masks)}
        return gr.update(value=(image, masks), color_map=colors, visible=True)

    def _factor(self, latent: Latent) -> int:
        return self.models.card(latent.model).config.autoencoder.downsampling_factor


def _dress(kind: str) -> list[dict[str, Any]]:
    """Show the numbers that a kind of edit reads."""
    shown = {Adjust: (0, 1), Paint: (2,), AddNoise: (3,), Renormalise: ()}[KINDS[kind]]
    return [gr.update(visible=index in shown) for index in range(4)]


def _edit(kind: str, channels: list[str], region: MaskPicture | None, numbers: tuple[float, ...]) -> LatentEdit:
    if kind not in KINDS:
        raise RequestError(f"there is no edit {kind!r:.40}; choose one of {', '.join(KINDS)}")
    gain, shift, value, amount = numbers
    told: dict[type[LatentEdit], dict[str, float]] = {
        Adjust: {"gain": gain, "shift": shift},
        Paint: {"value": value},
        AddNoise: {"amount": amount},
        Renormalise: {},
    }
    where = {"region": region, "channels": tuple(map(int, channels))}
    return KINDS[kind].of(**where, **told[KINDS[kind]])


def _cells(latent: Latent, region: str, reach: int) -> MaskPicture | None:
    """A square of cells around the chosen one; None means all."""
    if region == EVERYWHERE:
        return None
    if latent.cell is None:
        raise RequestError("no cell is chosen; click on the decoded image first")
    row, column = latent.cell
    mask = Image.new("L", (latent.z.shape[3], latent.z.shape[2]))
    ImageDraw.Draw(mask).rectangle((column - reach, row - reach, column + reach, row + reach), fill=255)
    return MaskPicture.from_image(mask)


def _statistics(latent: Latent) -> str:
    found = latent_statistics(latent.z)
    columns: list[tuple[str, Callable[[int], str]]] = [
        ("mean", lambda index: f"{found.mean[index]:+.3f}"),
        ("deviation", lambda index: f"{found.std[index]:.3f}"),
        ("excess kurtosis", lambda index: f"{found.kurtosis[index]:+.2f}"),
        ("KL to N(0, 1), nats", lambda index: f"{found.kl[index]:.3f}"),
    ]
    rows = [(f"channel {index}", *(spell(index) for _, spell in columns)) for index in range(latent.z.shape[1])]
    return markup.table(rows, header=("", *(name for name, _ in columns)))


def _channels(latent: Latent) -> list[Image.Image]:
    return channel_images(latent.z[0], scale=_scale(latent))


def _principal(latent: Latent) -> Image.Image:
    return principal_colors(latent.z[0], scale=_scale(latent))


def _scale(latent: Latent) -> int:
    return factor_to(*latent.z.shape[2:], side=CHANNEL_SIDE)


def _marked(image: Image.Image, latent: Latent, factor: int) -> Image.Image:
    """The decoded image, enlarged if it is small, with a frame around the chosen cell."""
    picture = enlarged(image, side=SHOWN_SIDE)
    if latent.cell is not None:
        side = factor * picture.width // image.width
        top, left = (side * place for place in latent.cell)
        frame = (left, top, left + side - 1, top + side - 1)
        ImageDraw.Draw(picture).rectangle(frame, outline=FRAME_COLOR, width=2)
    return picture
