"""The codebook of a first stage: what its codes look like, where a picture has them, and what becomes of it without."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import strip
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.probes import (
    CodebookSurvey,
    CodedPicture,
    code_picture,
    nearest_codes,
    quantised,
    survey_codebook,
    swap_code,
)
from ldm_lab.session import Session
from ldm_lab.session.first_stages import FirstStageEntry, LoadedFirstStages, lines_that_load, list_first_stages
from ldm_lab.tasks import Picture, Pipeline
from ldm_lab.tasks.from_picture import nearest_size
from ldm_lab.viz import curves, png_of
from ldm_lab.widgets.codebook_view import CodebookView
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.picture_choice import PictureChoice
from ldm_lab.widgets.pictures import CompareSlider, PlotView

NUM_SCENES = 64  # in which the use of codes is counted
CODE_COUNTS = (16, 32, 64, 128, 256)  # of a first stage that has none of its own
NUM_NEIGHBOURS = 8
PICTURE_WIDTH = 448  # pixels on the screen


@dataclass(frozen=True, slots=True)
class Stage:
    """A first stage that can be looked at.

    Attributes:
        title: What it is called.
        has_codes: Whether it has a codebook.
        folder: Where it lies; None: it is that of the session's model.
    """

    title: str
    has_codes: bool
    folder: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A first stage, its codes, and a picture made of them."""

    autoencoder: Autoencoder
    survey: CodebookSurvey
    picture: CodedPicture


class CodebookPanel(Panel):
    """Codes beside the picture that is made of them; exchange one, here or everywhere, and see what the decoder does.

    A KL first stage has no codebook: the panel says why, and shows what one of a chosen size would make of it.

    Attributes:
        choice: Which picture.
        view: Picture and codes.
        slider: The picture in its own codes, and after codes were exchanged.
    """

    title: ClassVar[str] = "Codebook Browser"

    def __init__(
        self,
        session: Session,
        *,
        image: Image.Image | None = None,
        folders: Sequence[str | Path] = (),
        name: str | None = None,
    ) -> None:
        """Open the panel.

        Args:
            session: Its model's own first stage is the one that is shown first.
            image: RGB; None: a scene of the built-in world.
            folders: VQ first stages of your own, beside those that are known.
            name: See ``Panel``.
        """
        own = session.call(_own_stage).result()
        entries = [entry for entry in list_first_stages(folders) if entry.has_codes]
        super().__init__(session, name=name)
        self.stages = [own, *(_stage_of(entry) for entry in entries if entry.folder is not None)]
        self.choice = PictureChoice(image, on_change=self.open, guarded=self.guarded)
        self.view = CodebookView(label="Picture and codebook")
        self.slider = CompareSlider(
            before_name="its own codes", after_name="after the exchange", width=PICTURE_WIDTH, placeholder="…"
        )
        self.usage = PlotView(label="Share of places that each code has, most used first", width=448)
        self._first_stages = LoadedFirstStages()
        self.opened: Opened | None = None
        self.edits: list[dict[str, Any]] = []
        self._build_controls()
        self._arrange(_absent_note(entries))
        self.open()

    @property
    def stage(self) -> Stage:
        """The first stage that is looked at."""
        return self.stages[self._stage.value]

    def open(self) -> None:
        """Look at the chosen first stage and picture; exchanges are forgotten."""
        stage, image, num_codes = self.stage, self.choice.image, self._num_codes.value
        self._num_codes.layout.display = "none" if stage.has_codes else None
        self._why.value = "" if stage.has_codes else _why_no_codebook(stage, num_codes)
        self.status.say(f"Looking at the codes of {stage.title} …", kind="busy")
        self.call(lambda model: _look(self._load(model, stage), stage, image, num_codes), self._take)

    def exchange(self, new: int, *, old: int | None = None, place: tuple[int, int] | None = None) -> None:
        """Put code ``new`` in the place of ``old`` everywhere, or at one place (row, column).

        Raises:
            RequestError: If nothing is opened yet. What else is wrong is said by the status line.
        """
        opened, picture = self._check_opened(), self.result
        edit = {"new": new} | ({"old": old} if place is None else {"place": place})
        self.call(
            lambda _: swap_code(opened.autoencoder, picture, **edit), lambda made: self._take_exchange(edit, made)
        )

    def undo(self) -> None:
        """Forget all exchanges."""
        opened = self._check_opened()
        self.edits = []
        self._show(opened.picture)
        self.status.say("The picture has its own codes again.", kind="done")

    def picture(self) -> Image.Image | None:
        """The picture in its own codes, and after the exchange."""
        return None if self.opened is None else strip([self.opened.picture.image, self.result.image])

    def code(self) -> str:
        """The exchange in Python."""
        edits = [f"coded = swap_code(first_stage, coded, {_arguments(edit)})" for edit in self.edits]
        return "\n".join([*self.choice.code(), *self._stage_code(), *edits, "coded.image"])

    def _stage_code(self) -> list[str]:
        """Lines that define ``first_stage`` and ``coded``."""
        names = ["code_picture", *["quantised"] * (not self.stage.has_codes), *["swap_code"] * bool(self.edits)]
        lines = [f"from ldm_lab.probes import {', '.join(names)}", "", *_loading(self.stage, self.session.name)]
        if not self.stage.has_codes:
            lines += [
                "from ldm_lab.data.shape_scenes import ShapeScenes",
                f"scenes = ShapeScenes(split='test').images(range({NUM_SCENES}))",
                f"first_stage = quantised(first_stage, scenes, num_codes={self._num_codes.value})",
            ]
        return [*lines, "coded = code_picture(first_stage, picture)"]

    def _load(self, model: Pipeline, stage: Stage) -> Autoencoder:
        if stage.folder is None:
            return model.model.autoencoder
        return self._first_stages.of(stage.folder, device=model.device)

    def _take(self, opened: Opened) -> None:
        self.opened, self.edits = opened, []
        self.view.show_codes(opened.survey)
        self._show(opened.picture)
        usage = opened.survey.usage
        self.usage.value = png_of(_usage_figure(opened.survey))
        dead = len(usage.dead())
        self.status.say(
            f"{len(usage.counts)} codes, of which {dead} are dead: {NUM_SCENES} scenes have none of them. Perplexity "
            f"{usage.perplexity:.0f}.",
            kind="done",
        )

    def _take_exchange(self, edit: dict[str, Any], made: CodedPicture) -> None:
        before = self.result
        count = made.count_changes(before)
        self.edits.append(edit)
        self._show(made)
        self.status.say(f"Code {edit['new']} was put at {count} place{'s' * (count != 1)}.", kind="done")

    def _show(self, picture: CodedPicture) -> None:
        self.view.show_picture(picture)
        self.slider.compare(self._check_opened().picture.image, picture.image)
        self.announce(picture)
        self._name_buttons()

    def _tell_neighbours(self) -> None:
        opened, code = self._check_opened(), self.view.chosen
        if code < 0:
            return
        self.call(
            lambda _: nearest_codes(opened.autoencoder, code, count=NUM_NEIGHBOURS),
            lambda found: self.view.show_neighbours(code, *(each.tolist() for each in found)),
        )

    def _name_buttons(self) -> None:
        """Say on the buttons what would be exchanged."""
        new, place = self.view.chosen, self.view.place
        old = self._code_at(place)
        self._here.disabled = self._everywhere.disabled = new < 0 or old is None
        self._here.description = "Put the code at the place" if self._here.disabled else f"Put code {new} at this place"
        self._everywhere.description = (
            "Put it everywhere" if self._everywhere.disabled else f"Replace code {old} by {new} everywhere"
        )

    def _code_at(self, place: Sequence[int]) -> int | None:
        if not place or self.result is None:
            return None
        return self.result.code_at(*place)

    def _exchange_here(self) -> None:
        row, column = self.view.place
        self.exchange(self.view.chosen, place=(row, column))

    def _exchange_everywhere(self) -> None:
        self.exchange(self.view.chosen, old=self._code_at(self.view.place))

    def _check_opened(self) -> Opened:
        if self.opened is None:
            raise RequestError("the codes are still being looked at; wait until the status line names them")
        return self.opened

    def _build_controls(self) -> None:
        options = [(stage.title, number) for number, stage in enumerate(self.stages)]
        wide = {"layout": {"width": "auto"}, "style": {"description_width": "auto"}}
        self._stage = ipywidgets.Dropdown(description="First stage", options=options, value=0, **wide)
        self._num_codes = ipywidgets.Dropdown(description="Codes", options=CODE_COUNTS, value=64, **wide)
        self._why = ipywidgets.HTML()
        self._here = ipywidgets.Button(layout={"width": "auto"}, disabled=True)
        self._everywhere = ipywidgets.Button(layout={"width": "auto"}, disabled=True)
        self._undo = ipywidgets.Button(description="Back to its own codes", icon="undo", layout={"width": "auto"})
        for control in (self._stage, self._num_codes):
            control.observe(self.guarded(lambda _: self.open()), "value")
        self.view.observe(self.guarded(lambda _: (self._name_buttons(), self._tell_neighbours())), "chosen")
        self.view.observe(self.guarded(lambda _: self._name_buttons()), "place")
        self._here.on_click(self.guarded(lambda _: self._exchange_here()))
        self._everywhere.on_click(self.guarded(lambda _: self._exchange_everywhere()))
        self._undo.on_click(self.guarded(lambda _: self.undo()))
        self._name_buttons()

    def _arrange(self, absent: str) -> None:
        wrap = {"flex_flow": "row wrap", "grid_gap": "4px 16px"}
        side = {"flex": "1 1 19em", "max_width": f"{PICTURE_WIDTH}px"}
        self.lay_out(
            ipywidgets.HBox([self.choice.widget, self._stage, self._num_codes], layout=wrap),
            self._why,
            ipywidgets.HTML(absent),
            self.view,
            ipywidgets.HBox([self._here, self._everywhere, self._undo], layout=wrap),
            ipywidgets.HBox(
                [ipywidgets.VBox([each], layout=side) for each in (self.slider, self.usage)],
                layout={"flex_flow": "row wrap", "grid_gap": "12px 24px"},
            ),
        )


def _own_stage(model: Pipeline) -> Stage:
    config = model.model.config.autoencoder
    kind = config.bottleneck.kind.upper()
    return Stage(f"that of {model.name} ({kind}, f = {config.downsampling_factor})", kind == "VQ", None)


def _stage_of(entry: FirstStageEntry) -> Stage:
    return Stage(f"{entry.name} ({entry.title})", True, entry.folder)


def _loading(stage: Stage, model: str) -> list[str]:
    if stage.folder is None:
        return ["import ldm_lab as lab", f"first_stage = lab.load({model!r}).model.autoencoder"]
    return lines_that_load(stage.folder)


def _look(autoencoder: Autoencoder, stage: Stage, image: Image.Image, num_codes: int) -> Opened:
    """Count the codes in scenes, and code the picture, in the nearest size that the first stage takes."""
    scenes = ShapeScenes(split="test").images(range(NUM_SCENES)).to(next(autoencoder.parameters()).device)
    if not stage.has_codes:
        autoencoder = quantised(autoencoder, scenes, num_codes=num_codes)
    picture, factor = Picture.from_image(image), autoencoder.config.downsampling_factor
    fitted = picture.fitted(*nearest_size(*picture.size, multiple=factor)).image
    return Opened(autoencoder, survey_codebook(autoencoder, scenes), code_picture(autoencoder, fitted))


def _why_no_codebook(stage: Stage, num_codes: int) -> str:
    return (
        f'<div class="ldm-note">{escape(stage.title[0].upper() + stage.title[1:])} has no codebook: its latents are '
        f"continuous, held together by a KL term. Shown is a quantised view: its latents of {NUM_SCENES} scenes in "
        f"{num_codes} clusters (k-means), whose means serve as codes; its decoder was not trained on them.</div>"
    )


def _absent_note(entries: Sequence[FirstStageEntry]) -> str:
    absent = [entry for entry in entries if entry.folder is None]
    if not absent or len(absent) < len(entries):
        return ""
    return (
        '<div class="ldm-note">No VQ first stage is on this machine yet; train one: '
        f"<code>{escape(absent[0].command)}</code></div>"
    )


def _usage_figure(survey: CodebookSurvey) -> Any:
    labels = {"x_label": "codes, most used first", "y_label": f"share of places in {NUM_SCENES} scenes"}
    return curves({"share": survey.usage.ranking()}, **labels, log=True)


def _arguments(edit: dict[str, Any]) -> str:
    return ", ".join([str(edit["new"]), *(f"{name}={value!r}" for name, value in edit.items() if name != "new")])
