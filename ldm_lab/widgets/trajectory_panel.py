"""How an image came out of noise, step by step."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.sampling import Step
from ldm_lab.session import Session, python_of_run
from ldm_lab.session.preview import FrameBudget
from ldm_lab.tasks import Run
from ldm_lab.viz import predicted_frames, save_frames
from ldm_lab.widgets.generate_panel import GeneratePanel
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.walk_view import WalkSheets, WalkView, live_sheets_of, sheets_of

LIVE_PER_SECOND = 2.0  # every time, all frames so far are drawn anew
FRAME_WIDTH = 360  # pixels on the screen


class TrajectoryPanel(Panel):
    """Scrub through a run, or watch one grow: what each step predicted, where it stood, what it took for noise.

    The frames are in the browser, so that scrubbing asks nothing of the kernel.

    Attributes:
        view: The frames, the curves and the pinned steps.
    """

    title: ClassVar[str] = "Trajectory"

    def __init__(
        self,
        session: Session,
        run: Run | None = None,
        *,
        source: GeneratePanel | None = None,
        name: str | None = None,
    ) -> None:
        """Open the panel.

        Args:
            session: Of the model that made the run.
            run: What to look at.
            source: A panel whose runs are watched as they come; with neither, ``look_at`` gives it something.
            name: See ``Panel``.
        """
        super().__init__(session, name=name)
        empty = "No run yet: make one in the panel that is watched." if source else "No run yet: panel.look_at(run)."
        self.view = WalkView(label="Step of the walk", width=FRAME_WIDTH, placeholder=empty)
        self._live: list[Step] = []
        self._budget = FrameBudget(per_second=LIVE_PER_SECOND)
        self._is_decoded = False
        self._build_controls()
        self.lay_out(self.view, self._bar)
        if source is not None:
            source.on_step(self.guarded(self._grow))
            source.on_result(self.guarded(self.look_at))
            run = run or source.run
        if run is not None:
            self.look_at(run)

    def look_at(self, run: Run) -> None:
        """Show a run."""
        if self.is_closed:
            return
        self._live, self._is_decoded = [], False
        self.announce(run)
        self._offer_images(len(run.settings.image_names))
        self._redraw()

    def decode(self) -> None:
        """Add frames of predicted z_0 by the decoder, which are slower to make and sharper."""
        self._is_decoded = True
        self._redraw()

    def save(self, path: str | Path) -> Path:
        """Write predicted z_0, decoded: ``.gif``, ``.webp`` or ``.mp4`` moves, ``.png`` is a strip.

        Raises:
            RequestError: If there is no run, or the suffix is another.
            MissingDependencyError: If ``.mp4`` is asked for and there is no ffmpeg.
        """
        frames = [] if self.run is None else predicted_frames(self.run.trajectory, self._decoder, image=self.image)
        return save_frames(frames, path)

    @property
    def image(self) -> int:
        """Which of the run's images is shown, counted from 0."""
        return self._image.value or 0

    def picture(self) -> Image.Image | None:
        """The strip of the image that is shown."""
        return self.run.strip(self.image) if self.run else None

    def code(self) -> str:
        """The run, and the same frames."""
        if self.run is None:
            return "# there is no run yet"
        made = python_of_run(self.run, model=self.session.name)
        return f"{made}\nrun.strip({self.image})\nrun.trajectory[-1].z_0_pred  # each step holds its latents"

    @property
    def _decoder(self) -> Callable:
        return self.run.outcome.decode

    def _redraw(self) -> None:
        if self.run is None:
            return
        steps, image = self.run.trajectory, self.image
        decode = self._decoder if self._is_decoded else None
        self.call(lambda model: sheets_of(model, steps, image=image, decode=decode), self._show_walk)

    def _show_walk(self, walk: WalkSheets) -> None:
        self.view.show_walk(walk)
        count = len(self.run.trajectory)
        notes = [f"{count} steps", *self.run.notes]
        if walk.skipped > 1:
            notes.insert(1, f"one of {walk.skipped} is shown")
        self.status.say("; ".join(notes), kind="warning" if self.run.partial else "done")

    def _grow(self, step: Step) -> None:
        """Take a step of the run that is watched; called in the thread that computes."""
        if self.is_closed:
            return
        if step.index == 0:
            self._live = []
        self._live.append(step)
        if self._budget.spend():
            steps, image = list(self._live), min(self.image, len(step.z_t) - 1)
            self.call(
                lambda model: live_sheets_of(model, steps, image=image),
                lambda walk: self.view.show_walk(walk, follow=True),
            )

    def _offer_images(self, count: int) -> None:
        if len(self._image.options) != count:
            self._image.options = [(f"image {index}", index) for index in range(count)]
        self._image.layout.display = None if count > 1 else "none"

    def _build_controls(self) -> None:
        self._image = ipywidgets.Dropdown(
            options=[("image 0", 0)], tooltip="Which image of the run", layout={"width": "auto", "display": "none"}
        )
        decode = ipywidgets.Button(
            description="Decode",
            icon="eye",
            tooltip="Predicted z_0 of every step by the decoder.",
            layout={"width": "auto"},
        )
        self._path = ipywidgets.Text(
            "trajectory.gif",
            description="File",
            tooltip=".gif, .webp or .mp4 moves; .png is a strip.",
            style={"description_width": "3em"},
            layout={"width": "16em"},
        )
        save = ipywidgets.Button(
            description="Save", icon="save", tooltip="Write predicted z_0 of every step.", layout={"width": "auto"}
        )
        self._image.observe(self.guarded(lambda _: self._redraw()), "value")
        decode.on_click(self.guarded(lambda _: self.decode()))
        save.on_click(self.guarded(lambda _: self._save_asked()))
        self._bar = ipywidgets.HBox([self._image, decode, self._path, save], layout={"flex_flow": "row wrap"})

    def _save_asked(self) -> None:
        """As ``save``, in the thread that computes, because frames have to be decoded."""
        self.call(
            lambda _: self.save(self._path.value),
            lambda where: self.status.say(f"Written: {where.resolve()}", kind="done"),
        )
