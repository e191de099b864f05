"""The part of the walk panel in which one goes along the directions in which samples differ most."""

from typing import TYPE_CHECKING, Any

import ipywidgets
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.probes.directions import REACH, Directions, principal_directions
from ldm_lab.session import Job
from ldm_lab.tasks import ImageToImageSettings, Pipeline, Run
from ldm_lab.tasks import Picture as PictureSetting
from ldm_lab.widgets.pictures import FrameView
from ldm_lab.widgets.watch import Watch

if TYPE_CHECKING:
    from ldm_lab.widgets.walk_panel import WalkPanel

NUM_SAMPLES, NUM_DIRECTIONS = 24, 3
STRENGTH = 0.4  # of the walk that settles a moved latent: enough to mend edges, little enough to keep the scene


class DirectionsSection:
    """Samples of the panel's sentence, their principal directions, and sliders along them.

    Attributes:
        widget: What is on the screen.
        found: The directions; None before.
        image: What was decoded last.
    """

    def __init__(self, panel: "WalkPanel") -> None:
        self._panel = panel
        self.found: Directions | None = None
        self.image: Image.Image | None = None
        self._start: Any = None
        self._is_stale = False
        self._job: Job | None = None
        self.view = FrameView(width=256, placeholder="Press Find directions, then move the sliders.")
        narrow = {"width": "auto"}
        self._find = ipywidgets.Button(description="Find directions", layout=narrow)
        self._find.tooltip = f"From {NUM_SAMPLES} samples of the prompt, made with the preview's steps."
        self._settle = ipywidgets.Button(description="Settle", disabled=True, layout=narrow)
        self._settle.tooltip = "Noise the moved picture a little and walk back, so that it becomes one of the model's."
        self.sliders = [self._slider(number) for number in range(NUM_DIRECTIONS)]
        self._find.on_click(panel.guarded(lambda _: self.find()))
        self._settle.on_click(panel.guarded(lambda _: self.settle()))
        self.widget = self._arrange()

    def find(self) -> Job:
        """Make samples, and find in which directions their latents differ most."""
        settings = self._panel.settings()
        seeds = tuple(range(NUM_SAMPLES))
        values = {name: getattr(settings, name) for name in ("sampler", "guidance_scale", "width", "height")}
        num_steps = min(2 * self._panel.preview_steps.value, settings.num_steps)

        def work(model: Pipeline) -> Run:
            return model.run("text_to_image", prompt=settings.prompt, seeds=seeds, num_steps=num_steps, **values)

        self._panel.status.say(f"{NUM_SAMPLES} samples are made …", kind="busy")
        return self._panel.call(work, self._take_samples)

    def show(self) -> None:
        """Decode the latent at the sliders; while that goes on, only the newest place waits."""
        if self.found is None:
            return
        if self._job is not None and not self._job.is_done:
            self._is_stale = True
            return
        z = self.found.moved(self._start, self.amounts)
        self._job = self._panel.call(lambda model: model.decode(z[None])[0], self._take_image)

    def settle(self) -> Job:
        """Noise the decoded picture a part of the way, and walk back.

        Raises:
            RequestError: If there is nothing to settle.
        """
        if self.image is None:
            raise RequestError("there is no moved picture yet; find directions, and move a slider")
        asked = self._panel.settings()
        names = ("prompt", "num_steps", "sampler", "guidance_scale")
        values = {name: getattr(asked, name) for name in names}
        settings = ImageToImageSettings(image=PictureSetting.from_image(self.image), strength=STRENGTH, **values)
        watch = Watch(status=self._panel.status, on_frame=self.view.paint, on_value=self._take_settled)
        return self._panel.submit(settings, watch)

    @property
    def amounts(self) -> list[float]:
        """Standard deviations along each direction."""
        return [slider.value for slider in self.sliders]

    def _take_samples(self, run: Run) -> None:
        """The first sample is where one starts."""
        z = run.trajectory[-1].z_next
        self.found, self._start = principal_directions(z, count=NUM_DIRECTIONS), z[0]
        for slider, share in zip(self.sliders, self.found.explained.tolist(), strict=True):
            slider.disabled = False
            slider.description = f"{share:.0%} of variance"
        self._panel.status.say(f"Directions of {len(z)} samples.", kind="done")
        self._show_in_turn()

    def _take_image(self, image: Image.Image) -> None:
        self.image = image
        self.view.settle(image, alt=f"moved by {self.amounts} standard deviations")
        self._settle.disabled = False
        if self._is_stale:
            self._is_stale = False
            self._show_in_turn()

    def _show_in_turn(self) -> None:
        """From a listener the job that ends is not done yet, so another one is asked for without regard to it."""
        self._job = None
        self.show()

    def _take_settled(self, run: Run) -> None:
        self.view.settle(run.grid(), alt="settled")
        self._panel.announce(run)

    def _slider(self, number: int) -> ipywidgets.FloatSlider:
        slider = ipywidgets.FloatSlider(description=f"Direction {number + 1}", min=-REACH, max=REACH, step=0.1)
        slider.style.description_width = "9.5em"
        slider.layout.width = "auto"
        slider.disabled = True
        slider.observe(self._panel.guarded(lambda _: self.show()), "value")
        return slider

    def _arrange(self) -> ipywidgets.Widget:
        heading = ipywidgets.HTML("<b>Directions</b>: where samples of the prompt differ most, in standard deviations")
        buttons = ipywidgets.HBox([self._find, self._settle])
        moved = ipywidgets.VBox([heading, buttons, *self.sliders], layout={"flex": "1 1 22em", "min_width": "16em"})
        row = {"flex_flow": "row wrap", "grid_gap": "12px 24px", "align_items": "flex-start"}
        return ipywidgets.HBox([moved, ipywidgets.VBox([self.view], layout={"flex": "0 1 256px"})], layout=row)
