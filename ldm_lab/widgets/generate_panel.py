"""Images from a sentence, a class, or nothing, with the walk in view."""

from collections.abc import Callable
from typing import Any, ClassVar

import ipywidgets

from ldm_lab.core.errors import NotEnoughMemoryError, RequestError
from ldm_lab.sampling import SAMPLERS, Step
from ldm_lab.session import Job, Session, python_of
from ldm_lab.tasks import (
    ClassToImageSettings,
    Pipeline,
    Run,
    TaskSettings,
    TextToImageSettings,
    UnconditionalSettings,
)
from ldm_lab.tasks.kinds import CLASS, TEXT, UNCONDITIONAL, kind_of
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.later import Later
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.pictures import FrameView
from ldm_lab.widgets.seeds import SeedsControl
from ldm_lab.widgets.watch import Watch

EXAMPLE = "a large red circle left of a small blue star on white"
WISHES = ("prompt", "negative_prompt", "label")
FIELDS = (
    *WISHES,
    "seeds",
    "num_steps",
    "sampler",
    "guidance_scale",
    "guidance_rescale",
    "guidance_interval",
    "width",
    "height",
)
PICTURE_WIDTH = 420  # pixels on the screen


class GeneratePanel(Panel):
    """Ask for images, see predicted z_0 while they come, stop within one step.

    While a run goes on, a control that changes queues the newest settings; with "Live", also when none does.

    Attributes:
        form: The settings.
        seeds: The control of the seeds, with dice and lock.
        view: The picture.
    """

    title: ClassVar[str] = "Generate"

    def __init__(
        self, session: Session, run: Run | None = None, *, settings: TaskSettings | None = None, name: str | None = None
    ) -> None:
        """Open the panel.

        Args:
            session: Of a model of text, of classes, or without a condition.
            run: One to begin with: its settings and its picture.
            settings: Those to begin with; None: those of the run, or what the model recommends.
            name: See ``Panel``.

        Raises:
            RequestError: If the model is of another kind.
        """
        start, labels = session.call(lambda model: _beginning(model, settings or (run and run.settings))).result()
        super().__init__(session, name=name)
        self.seeds = SeedsControl()
        fields = [name for name in FIELDS if hasattr(start, name)]
        choices = {"label": labels} if labels else {}
        self.form = SettingsForm(start, fields=fields, choices=choices, controls={"seeds": self.seeds})
        self.view = FrameView(width=PICTURE_WIDTH, placeholder="Press Generate: the picture comes out of noise here.")
        self._listeners: list[Callable[[Step], Any]] = []
        self._job: Job | None = None
        self._later = Later(self.guarded(self.submit_newest))
        self._build_buttons()
        self._observe()
        self._arrange()
        if run is not None:
            self._show(run)

    def generate(self) -> Job:
        """Ask for what the form says, with a new seed unless it is locked."""
        self.seeds.renew()
        return self.submit_newest()

    def submit_newest(self) -> Job:
        """Ask for what the form says now; what waits from before is left out."""
        self._job = self.submit(self.form.read(), self._watch(), slot=id(self))
        self._set_running(True)
        return self._job

    def stop(self) -> None:
        """End the walk within one step; what is there becomes a partial run."""
        self._later.cancel()
        for job in self.pending:
            job.stop()

    def on_step(self, callback: Callable[[Step], Any]) -> Callable[[Step], Any]:
        """Call it with every step of a walk, in the thread that computes."""
        self._listeners.append(callback)
        return callback

    def code(self) -> str:
        """The run that is asked for in the form."""
        return python_of(self.form.read(), model=self.session.name)

    def close(self) -> None:
        """Also forget what was about to be asked for."""
        self._later.cancel()
        self._listeners.clear()
        super().close()

    def _watch(self) -> Watch:
        return Watch(
            status=self.status,
            on_step=self._tell_step,
            on_frame=self.view.paint,
            on_value=self._show,
            on_error=self._ask_for_less,
            on_end=lambda: self._set_running(len(self.pending) > 1),  # the one that ends is still among them
        )

    def _tell_step(self, step: Step) -> None:
        for listener in list(self._listeners):
            listener(step)

    def _show(self, run: Run) -> None:
        self.seeds.remember(run.settings.seeds)
        self.view.settle(run.grid(), alt=_described(run))
        self.announce(run)

    def _ask_for_less(self, error: BaseException) -> None:
        """After lack of memory: half as many images, and of one, a smaller one."""
        if not isinstance(error, NotEnoughMemoryError):
            return
        count = len(self.seeds.value)
        if count == 1:
            self.status.say(f"{error}; choose a smaller width and height", kind="error")
            return
        self.seeds.set(self.seeds.value[: count // 2])
        self.status.say(f"Not enough memory for {count} images at once: {count // 2} are tried.", kind="warning")
        self.submit_newest()

    def _changed(self) -> None:
        if self._live.value or self.pending:
            self._later.ask()

    def _set_running(self, is_running: bool) -> None:
        self._stop.disabled = not is_running

    def _build_buttons(self) -> None:
        self._generate = ipywidgets.Button(description="Generate", icon="play", button_style="primary")
        self._stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, tooltip="Ends within one step.")
        self._live = ipywidgets.Checkbox(
            description="Live: every change makes a picture", indent=False, layout={"width": "auto"}
        )
        self._generate.on_click(self.guarded(lambda _: self.generate()))
        self._stop.on_click(self.guarded(lambda _: self.stop()))

    def _observe(self) -> None:
        self.form.observe(self.guarded(self._changed))
        sampler = self.form.controls["sampler"]
        explained = ipywidgets.HTML()
        explained.add_class("ldm-note")
        self._explained = explained

        def explain() -> None:
            name = sampler.value
            explained.value = "" if name is None else f"{name}: {SAMPLERS[name].help}"

        sampler.observe(self.guarded(explain))
        explain()

    def _arrange(self) -> None:
        buttons = ipywidgets.HBox([self._generate, self._stop, self._live], layout={"flex_flow": "row wrap"})
        asked = ipywidgets.VBox([self.form.widget, self._explained, buttons], layout={"flex": "1 1 26em"})
        seen = ipywidgets.Box([self.view], layout={"flex": f"0 1 {PICTURE_WIDTH}px", "min_width": "14em"})
        self.lay_out(ipywidgets.HBox([asked, seen], layout={"flex_flow": "row wrap", "grid_gap": "12px 24px"}))


def _beginning(model: Pipeline, settings: TaskSettings | None) -> tuple[TaskSettings, tuple[str, ...] | None]:
    """The settings that the form begins with, nothing left open, and the names of classes if the model knows any."""
    kind = kind_of(model.model)
    config = model.model.config.conditioner
    labels = None
    if kind is CLASS:
        labels = config.names or tuple(range(config.num_classes))
    first = {
        TEXT: lambda: TextToImageSettings(prompt=EXAMPLE),
        CLASS: lambda: ClassToImageSettings(label=labels[0]),
        UNCONDITIONAL: UnconditionalSettings,
    }
    if kind not in first:
        raise RequestError(
            f"the Generate panel needs a model of text, of classes, or without a condition; {model.name!r} is "
            f"{kind.words}"
        )
    return model.resolved(settings or first[kind]()), labels


def _described(run: Run) -> str:
    count = len(run.images)
    return f"{count} image{'s' * (count != 1)}{' (stopped on the way)' * run.partial}: {run.settings.title}"
