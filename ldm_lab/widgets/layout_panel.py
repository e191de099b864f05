"""Images of named boxes that are drawn."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import ipywidgets

from ldm_lab.core.errors import RequestError
from ldm_lab.core.layout import Layout, LayoutObject
from ldm_lab.session import Job, Session, python_of
from ldm_lab.tasks import LayoutToImageSettings, Pipeline, Run
from ldm_lab.tasks.kinds import LAYOUT, kind_of
from ldm_lab.widgets.box_pad import BoxPad
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.later import Later
from ldm_lab.widgets.missing_model import how_to_get, training_command
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.pictures import FrameView
from ldm_lab.widgets.seeds import SeedsControl
from ldm_lab.widgets.watch import Watch

FIELDS = ("seeds", "num_steps", "sampler", "guidance_scale")
PICTURE_WIDTH = 448  # pixels on the screen
EXAMPLE_BOX = (0.15, 0.2, 0.5, 0.55)


class LayoutPanel(Panel):
    """Draw boxes, say what is in them, and an image comes of it; with "Live", whenever a box changes.

    For a model that reads no layouts the panel says how to get one that does.

    Attributes:
        pad: The boxes.
        form: The settings.
        view: The result.
    """

    title: ClassVar[str] = "Layout"

    def __init__(self, session: Session, layout: Layout | None = None, *, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: Of a model of layouts.
            layout: Objects to begin with; None: one of the first words.
            name: See ``Panel``.
        """
        known = session.call(_known).result()
        super().__init__(session, name=name)
        self._missing = known is None
        if known is None:
            self._say_what_is_missing()
            return
        self.pad = BoxPad(
            label="Boxes on the picture",
            width=PICTURE_WIDTH,
            vocabularies=[list(words) for words in known.vocabularies],
            max_objects=known.max_objects,
        )
        first = LayoutObject(tuple(words[0] for words in known.vocabularies), EXAMPLE_BOX)
        self.pad.show_layout((first,) if layout is None else layout)
        self.seeds = SeedsControl()
        self.form = SettingsForm(known.settings, fields=FIELDS, controls={"seeds": self.seeds})
        self.view = FrameView(width=PICTURE_WIDTH, placeholder="Draw a box or press Make: the image comes here.")
        self._later = Later(self.guarded(self.make))
        self._build_buttons()
        self._arrange()

    @property
    def settings(self) -> LayoutToImageSettings:
        """What is asked for.

        Raises:
            RequestError: If a value is not accepted, or the model reads no layouts.
        """
        self._check()
        return dataclasses.replace(self.form.read(), layout=self.pad.layout_objects)

    def make(self) -> Job:
        """Ask for what is drawn; of several that wait, the newest is carried out.

        Raises:
            RequestError: If a value is not accepted, or the model reads no layouts.
        """
        settings = self.settings
        self._stop.disabled = False
        return self.submit(settings, self._watch(), slot=id(self))

    def stop(self) -> None:
        """End the walk within one step; what is there becomes a partial run."""
        for job in self.pending:
            job.stop()

    def code(self) -> str:
        """The run that is asked for; without a model of layouts, how to get one."""
        if self._missing:
            lines = ["import ldm_lab as lab", f"session = lab.Session(lab.load({LAYOUT.shipped!r}))"]
            return "\n".join([f"# {training_command(LAYOUT)}", *lines, "LayoutPanel(session)"])
        return python_of(self.settings, model=self.session.name)

    def close(self) -> None:
        """Also forget what was about to be asked for."""
        if not self._missing:
            self._later.cancel()
        super().close()

    def _watch(self) -> Watch:
        return Watch(
            status=self.status,
            on_frame=self.view.paint,
            on_value=self._show,
            on_end=lambda: setattr(self._stop, "disabled", len(self.pending) <= 1),  # the one that ends is among them
        )

    def _show(self, run: Run) -> None:
        self.view.settle(run.grid(), alt=run.settings.title)
        self.pad.show_picture(run.images[0])
        self.announce(run)

    def _changed(self) -> None:
        if self._live.value:
            self._later.ask()

    def _check(self) -> None:
        if self._missing:
            raise RequestError(how_to_get(LAYOUT, instead_of=self.session.name))

    def _say_what_is_missing(self) -> None:
        sentence = how_to_get(LAYOUT, instead_of=self.session.name)
        self.status.say(f"{sentence[0].upper()}{sentence[1:]}", kind="warning")
        self.lay_out()

    def _build_buttons(self) -> None:
        self._make = ipywidgets.Button(description="Make", icon="play", button_style="primary")
        self._stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, tooltip="Ends within one step.")
        self._live = ipywidgets.Checkbox(value=True, description="Live: every change makes an image", indent=False)
        self._make.on_click(self.guarded(lambda _: self.make()))
        self._stop.on_click(self.guarded(lambda _: self.stop()))
        changed = self.guarded(self._changed)
        self.pad.observe(lambda _: changed(), "boxes")
        self.form.observe(changed)

    def _arrange(self) -> None:
        side = {"flex": "1 1 20em", "max_width": f"{PICTURE_WIDTH}px"}
        drawn, made = ipywidgets.VBox([self.pad], layout=side), ipywidgets.VBox([self.view], layout=side)
        pictures = ipywidgets.HBox([drawn, made], layout={"flex_flow": "row wrap", "grid_gap": "12px 24px"})
        buttons = ipywidgets.HBox([self._make, self._stop, self._live], layout={"flex_flow": "row wrap"})
        self.lay_out(pictures, self.form.widget, buttons)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What the panel has to know of a model: its words, how many objects it reads, settings to begin with."""

    vocabularies: tuple[tuple[str, ...], ...]
    max_objects: int
    settings: LayoutToImageSettings


def _known(model: Pipeline) -> _Known | None:
    if kind_of(model.model) is not LAYOUT:
        return None
    config = model.model.config.conditioner
    return _Known(
        vocabularies=config.vocabularies,
        max_objects=config.max_objects,
        settings=model.resolved(LayoutToImageSettings(layout=())),
    )
