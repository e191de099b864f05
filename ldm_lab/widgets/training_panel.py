"""A training run while it goes on: loss, samples, health of the latents; stopped and gone on with at will."""

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.core.images import read_image
from ldm_lab.session import Event, Failed, Finished, Job, Progressed, Session, Stopped
from ldm_lab.session.preview import FrameBudget
from ldm_lab.session.training_run import Encoded, Recipe, Trained, train_in
from ldm_lab.training.history import History, newest_sheet
from ldm_lab.training.presets import AUTOENCODERS, DIFFUSION
from ldm_lab.viz import curves, png_of
from ldm_lab.widgets.controls import LABEL_WIDTH, Control
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.pictures import FrameView, PlotView

FIELDS = ("num_steps", "batch_size", "learning_rate", "sheet_every", "save_every")
PRESETS = {"autoencoder": AUTOENCODERS, "diffusion": DIFFUSION}
PLOTS_PER_SECOND = 1.0
STOPPING = "The step is finished, a checkpoint and the model are written …"


class TrainingPanel(Panel):
    """Choose a recipe and a folder; Start goes on with what is in the folder.

    Training shares the thread of the session: calls of other panels come between two steps, runs after the end.

    Attributes:
        form: How to train.
        history: Of the run in the folder.
    """

    title: ClassVar[str] = "Training Watch"

    def __init__(
        self,
        session: Session,
        *,
        preset: str = "shapes-kl-f4",
        recipe: Recipe | None = None,
        folder: str | Path | None = None,
        name: str | None = None,
    ) -> None:
        """Open the panel.

        Args:
            session: Whose thread trains.
            preset: Of either stage.
            recipe: One of your own instead.
            folder: Where the run lives; None: where the command line would put it.
            name: See ``Panel``.
        """
        super().__init__(session, name=name)
        self._recipe = recipe or _recipe_of(preset)
        self.preset = _preset_choice(preset, is_own=recipe is not None)
        self.form = SettingsForm(self._recipe.training, fields=FIELDS, controls={"learning_rate": _rate_control()})
        self.folder = ipywidgets.Text(value=str(folder or _folder_of(preset)), description="Folder")
        self.view = FrameView(width=420, placeholder="The first sheet of samples comes after “sheet every” steps.")
        self.history = History.of(self.folder.value)
        self._budget = FrameBudget(per_second=PLOTS_PER_SECOND)
        self._shown: Path | None = None
        self._build_controls()
        self._arrange()
        self._look()

    def recipe(self) -> Recipe:
        """What is trained.

        Raises:
            ConfigError: If a value is not accepted.
        """
        return replace(self._recipe, training=self.form.read())

    def start(self) -> Job:
        """Train, or go on with the run in the folder."""
        recipe = self.recipe()
        self.history = History.of(self.folder.value)
        self._start.disabled, self._stop.disabled = True, False
        self.status.say("Training begins …", kind="busy")
        return self._keep(train_in(self.session, recipe, self.folder.value, listener=self.guarded(self._hear)))

    def stop(self) -> None:
        """End after the step that is being done, with a checkpoint and the model."""
        for job in self.pending:
            job.stop()
        self.status.say(STOPPING, kind="busy")

    def picture(self) -> Image.Image | None:
        """The newest sheet."""
        sheet = newest_sheet(self.folder.value)
        return None if sheet is None else read_image(sheet)

    def code(self) -> str:
        """The run in Python."""
        training = self.form.read()
        changed = {name: getattr(training, name) for name in FIELDS}
        arguments = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        kind = "autoencoder" if self.preset.value in AUTOENCODERS else "diffusion"
        presets, stage = (
            ("AUTOENCODERS", "AutoencoderStage") if kind == "autoencoder" else ("DIFFUSION", "DiffusionStage")
        )
        prepared = [] if kind == "autoencoder" else [f"list(stage.prepare({self.folder.value + '/latents'!r}))"]
        lines = [
            "from dataclasses import replace",
            "",
            f"from ldm_lab.training.{kind}_stage import {stage}",
            "from ldm_lab.training.loop import train",
            f"from ldm_lab.training.presets import {presets}",
            "",
            f"recipe = {presets}[{self.preset.value!r}]()",
            f"training = replace(recipe.training, {arguments})",
            f"stage = {stage}(replace(recipe, training=training))",
            *prepared,
            f"for step in train(stage, training, {self.folder.value!r}):",
            "    print(step.index, step.loss)",
        ]
        return "\n".join(lines)

    def _hear(self, event: Event) -> None:
        """Take an event of the job."""
        match event:
            case Progressed(Encoded(done, expected)):
                self.status.say(f"{done} of {expected} examples encoded", kind="busy", done=done, expected=expected)
            case Progressed(Trained(step, expected)):
                self.history.add(step)
                self._say_step(step.index + 1, expected)
                if step.figures or self._budget.spend():
                    self._draw()
                    self._show_sheet()
            case Finished(done):
                self._end(f"Trained for {done} steps; model: {Path(self.folder.value) / 'model'}", kind="done")
            case Stopped(reason):
                self._end(f"{reason[0].upper()}{reason[1:]}.", kind="idle")
            case Failed(error, details):
                self._end(str(error), kind="error", details=details)

    def _say_step(self, done: int, expected: int) -> None:
        if self.status.text == STOPPING:
            return
        loss = self.history.losses[-1]
        self.status.say(f"Step {done} of {expected}, loss {loss:.4g}", kind="busy", done=done, expected=expected)

    def _end(self, sentence: str, *, kind: str, details: str = "") -> None:
        self._start.disabled, self._stop.disabled = False, True
        self._look()
        self.status.say(sentence, kind=kind, details=details)
        if kind == "done":
            self.announce(self.history)

    def _look(self) -> None:
        """Show the run that is in the folder."""
        count = self.history.steps[-1] if self.history.steps else 0
        self._start.description = f"Go on after step {count}" if count else "Start"
        self._draw()
        self._show_sheet()

    def _draw(self) -> None:
        if not self.history.steps:
            return
        steps, lines = self.history.curves()
        self.plot.value = png_of(curves(lines, x=steps, y_label="loss", log=min(self.history.losses) > 0))
        rows = (
            f"<div><dt>{escape(name)}</dt><dd>{value:.4g}</dd></div>" for name, value in self.history.health.items()
        )
        self.health.value = f'<dl class="ldm-figures">{"".join(rows)}</dl>'

    def _show_sheet(self) -> None:
        sheet = newest_sheet(self.folder.value)
        if sheet is not None and sheet != self._shown:
            self._shown = sheet
            self.view.settle(read_image(sheet), alt=f"samples after {sheet.stem.replace('-', ' ')}")

    def _choose(self) -> None:
        """Another preset: its settings, and its folder."""
        self._recipe = _recipe_of(self.preset.value)
        self.form.show(self._recipe.training)
        self.folder.value = str(_folder_of(self.preset.value))

    def _change_folder(self) -> None:
        self.history = History.of(self.folder.value)
        self._look()

    def _build_controls(self) -> None:
        narrow = {"width": "auto"}
        self._start = ipywidgets.Button(description="Start", icon="play", button_style="primary", layout=narrow)
        self._stop = ipywidgets.Button(
            description="Stop",
            icon="stop",
            disabled=True,
            layout=narrow,
            tooltip="After the step; it can be gone on with.",
        )
        self.plot = PlotView(label="Loss over the steps", width=480)
        self.health = ipywidgets.HTML()
        self.folder.layout.flex, self.folder.continuous_update = "1 1 18em", False
        self._start.on_click(self.guarded(lambda _: self.start()))
        self._stop.on_click(self.guarded(lambda _: self.stop()))
        self.preset.observe(self.guarded(lambda _: self._choose()), "value")
        self.folder.observe(self.guarded(lambda _: self._change_folder()), "value")

    def _arrange(self) -> None:
        row = {"flex_flow": "row wrap", "grid_gap": "4px 8px", "align_items": "center"}
        top = {"flex_flow": "row wrap", "grid_gap": "12px 24px", "align_items": "flex-start"}
        drawn = ipywidgets.VBox([self.plot, self.health], layout={"flex": "1 1 22em", "min_width": "16em"})
        self.lay_out(
            ipywidgets.HBox([self.preset, self.folder], layout=row),
            self.form.widget,
            ipywidgets.HBox([self._start, self._stop], layout=row),
            ipywidgets.HBox([drawn, ipywidgets.VBox([self.view])], layout=top),
        )


def _rate_control() -> Control:
    """A number as it is typed; rates such as 0.0003 are lost on a slider."""
    described = {"description": "Learning rate", "style": {"description_width": LABEL_WIDTH}}
    return Control(ipywidgets.FloatText(step=1e-4, layout={"width": "auto"}, **described))


def _recipe_of(preset: str) -> Recipe:
    return next(presets[preset] for presets in PRESETS.values() if preset in presets)()


def _folder_of(preset: str) -> Path:
    """Where the command line puts it."""
    kind = next(kind for kind, presets in PRESETS.items() if preset in presets)
    return Path("runs") / f"{kind}-{preset}"


def _preset_choice(preset: str, *, is_own: bool) -> ipywidgets.Dropdown:
    names = [name for presets in PRESETS.values() for name in presets if name != "own"]
    return ipywidgets.Dropdown(options=names, value=preset, description="Recipe", disabled=is_own)
