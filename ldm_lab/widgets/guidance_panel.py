"""Guidance taken apart: what the network says with the sentence and without it, and what the difference does."""

from functools import partial
from typing import Any, ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.core.images import strip
from ldm_lab.probes import GuidanceStep, GuidedViews, take_apart, view_guidance
from ldm_lab.probes.guidance import GuidanceRecording
from ldm_lab.session import Job, Session, python_of
from ldm_lab.tasks import Run, TextToImageSettings
from ldm_lab.viz import curves, paint, png_of
from ldm_lab.widgets.box_control import BoxControl
from ldm_lab.widgets.controls import Control
from ldm_lab.widgets.curve_pad import CurvePad
from ldm_lab.widgets.form import WHOLE_ROW, SettingsForm
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.picture_row import PictureRow
from ldm_lab.widgets.pictures import FrameView, PlotView
from ldm_lab.widgets.watch import Watch

EXAMPLE = "a large red circle left of a small blue star on white"
FIELDS = (
    "prompt",
    "negative_prompt",
    "num_steps",
    "sampler",
    "guidance_scale",
    "guidance_rescale",
    "guidance_interval",
    "seeds",
    "guidance_curve",
    "guidance_box",
    "guidance_outside",
)
MAX_TRIED = 20.0
COLUMNS = "repeat(auto-fill, minmax(min(100%, 24em), 1fr))"  # wider than a form's, for the sliders


class GuidancePanel(Panel):
    """A run, and at each of its steps both predictions, their difference, and what another scale would make of them.

    Attributes:
        form: The settings, with the curve of guidance and the box in which it acts.
        parts: Of each step of the run what was taken apart, as far as it has come.
    """

    title: ClassVar[str] = "Guidance Lab"

    def __init__(
        self,
        session: Session,
        run: Run | None = None,
        *,
        settings: TextToImageSettings | None = None,
        name: str | None = None,
    ) -> None:
        """Open the panel.

        Args:
            session: Of a model of text.
            run: One to begin with, of the session's model.
            settings: Those to begin with; None: those of the run, or an example.
            name: See ``Panel``.
        """
        settings = settings or (run and run.settings) or TextToImageSettings(prompt=EXAMPLE)
        start = session.call(lambda model: model.resolved(settings)).result()
        super().__init__(session, name=name)
        self.pad = CurvePad(label="Guidance scale on the way from noise to image", constant=start.guidance_scale)
        self.form = SettingsForm(start, fields=FIELDS, controls=self._own_controls())
        self.view = FrameView(width=256, placeholder="Press Make: the picture comes here.")
        self.views = PictureRow(label="What the network states at this step", width=180, zooms=False)
        self.parts: dict[int, GuidanceStep] = {}
        self._seen: GuidedViews | None = None
        self._build_controls()
        self._arrange()
        if run is not None:
            self._show(run)

    def make(self) -> Job:
        """Ask for a run, and take it apart."""
        watch = Watch(status=self.status, on_frame=self.view.paint, on_value=self._show, on_end=self._rest)
        self._stop.disabled = False
        return self.submit(self.form.read(), watch, slot=id(self))

    def stop(self) -> None:
        """End the walk within one step; the last predictions are the picture."""
        for job in self.pending:
            job.stop()

    def look(self) -> None:
        """Show the chosen step, under the scale that is tried."""
        part = self.parts.get(self.step.value)
        if part is None:
            return
        scale, rescale = self.scale.value, self.form.read().guidance_rescale
        self.call(lambda model: view_guidance(model, part, scale=scale, rescale=rescale), self._show_step)
        self._draw_norms()

    def picture(self) -> Image.Image | None:
        """Without, with and under guidance, at the chosen step; of a run that is not taken apart, its sheet."""
        return super().picture() if self._seen is None else strip(list(_stated(self._seen).values()))

    def code(self) -> str:
        """The run, and what is seen of its step."""
        lines = [
            python_of(self.form.read(), model=self.session.name),
            "",
            "from ldm_lab.probes import take_apart, view_guidance",
            "",
            f"step = take_apart(model, run, {self.step.value})",
            f"views = view_guidance(model, step, scale={self.scale.value})",
            "views.negative, views.positive, views.guided",
        ]
        return "\n".join(lines)

    def _show(self, run: Run) -> None:
        self.view.settle(run.grid(), alt=run.settings.title)
        self.parts = {}
        self._seen = None
        self.announce(run)
        count = len(run.trajectory)
        self.step.max = max(0, count - 1)
        self.step.value = min(self.step.value or count // 2, self.step.max)
        self.step.disabled = count == 0
        for place in range(count):
            self.call(partial(_apart, run=run, place=place), partial(self._take, run, place))

    def _take(self, run: Run, place: int, part: GuidanceStep) -> None:
        """Keep a step that was taken apart; those of an earlier run come too late."""
        if run is not self.run:
            return
        self.parts[place] = part
        if place == self.step.value or len(self.parts) == len(run.trajectory):
            self.look()

    def _show_step(self, views: GuidedViews) -> None:
        self._seen = views
        limit = max(1e-6, views.difference.max().item())
        heat = paint(views.difference, low=0.0, high=limit, scale=8)
        self.views.show(_stated(views) | {f"difference of eps, lightest {limit:.2g}": heat})
        self.clipped.value = (
            f'<p class="ldm-note">At scale {self.scale.value:g}, {views.clipped_latent:.1%} of the numbers of z_0 lie '
            f"beyond 4 standard deviations, and {views.clipped_pixels:.1%} of the picture clearly beyond black or "
            "white.</p>"
        )

    def _draw_norms(self) -> None:
        """Root mean squares over the steps that have come."""
        places = sorted(self.parts)
        norms = GuidanceRecording([self.parts[place] for place in places]).norms()
        names = {"negative": "eps without", "positive": "eps with", "difference": "difference"}
        series = {names[name]: values[:, 0].tolist() for name, values in norms.items()}
        figure = curves(series, x=places, y_label="root mean square", mark=self.step.value)
        self.plot.value = png_of(figure)

    def _own_controls(self) -> dict[str, Any]:
        self.pad.layout.grid_area = WHOLE_ROW
        curve = Control(self.pad, read=_to_curve, show=lambda points: [list(point) for point in points], trait="points")
        return {"guidance_curve": curve, "guidance_box": BoxControl("Guided")}

    def _build_controls(self) -> None:
        self._make = ipywidgets.Button(description="Make", icon="play", button_style="primary")
        self._stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, tooltip="Ends within one step.")
        wide = {"style": {"description_width": "7em"}, "layout": {"width": "auto"}}
        self.step = ipywidgets.IntSlider(description="Step", min=0, max=0, disabled=True, **wide)
        self.scale = ipywidgets.FloatSlider(
            description="Scale to try", min=0.0, max=MAX_TRIED, step=0.5, continuous_update=False, **wide
        )
        self.scale.value = self.form.read().guidance_scale
        self.clipped = ipywidgets.HTML()
        self.plot = PlotView(
            label="Root mean square of both predictions and of their difference over the steps", width=440
        )
        self._make.on_click(self.guarded(lambda _: self.make()))
        self._stop.on_click(self.guarded(lambda _: self.stop()))
        for widget in (self.step, self.scale):
            widget.observe(self.guarded(lambda _: self.look()), "value")
        self.form.controls["guidance_scale"].observe(self.guarded(self._follow_scale))

    def _follow_scale(self) -> None:
        """The scale of the form is the constant of the pad, and the first that is tried."""
        scale = self.form.controls["guidance_scale"].value
        self.pad.constant = scale
        self.scale.value = min(scale, MAX_TRIED)

    def _arrange(self) -> None:
        row = {"flex_flow": "row wrap", "grid_gap": "10px 20px", "align_items": "flex-start"}
        self.form.widget.layout.grid_template_columns = COLUMNS
        seen = ipywidgets.VBox([self.view], layout={"flex": "0 1 256px", "min_width": "12em"})
        looked_at = ipywidgets.VBox(
            [self.step, self.scale, self.views, self.clipped], layout={"flex": "1 1 24em", "min_width": "0"}
        )
        self.lay_out(
            self.form.widget,
            ipywidgets.HBox([self._make, self._stop]),
            ipywidgets.HBox([seen, looked_at], layout=row),
            self.plot,
        )

    def _rest(self) -> None:
        self._stop.disabled = True


def _apart(model: Any, *, run: Run, place: int) -> GuidanceStep:
    return take_apart(model, run, place)


def _to_curve(points: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(place), float(value)) for place, value in points)


def _stated(views: GuidedViews) -> dict[str, Image.Image]:
    return {
        "z_0 without the sentence": views.negative,
        "z_0 with the sentence": views.positive,
        "z_0 guided": views.guided,
    }
