"""Walks between images: a puck between anchors, films of a way, and the directions in which samples differ most."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.core.images import read_image, strip
from ldm_lab.probes.noise_path import NoisePath, measure_noise_path
from ldm_lab.session import Job, Session, python_of
from ldm_lab.tasks import BlendSettings, InversionSettings, PastedLatent, Pipeline, Run
from ldm_lab.tasks import Picture as PictureSetting
from ldm_lab.tasks.blend import MAX_ANCHORS, PATHS, places_on
from ldm_lab.viz import curves, png_of, save_frames, sprites
from ldm_lab.widgets.directions_section import DirectionsSection
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.pictures import FrameView, PlotView, Scrubber
from ldm_lab.widgets.puck_pad import PuckPad
from ldm_lab.widgets.watch import Watch

EXAMPLE = "a large red circle on white"
FIELDS = ("prompt", "seeds", "way", "num_steps", "sampler", "guidance_scale")
INVERSION_STEPS = 20


class WalkPanel(Panel):
    """While the puck is moved, few steps make a preview of every place; let go, it settles to full quality.

    Attributes:
        form: The settings, with the seeds of the anchors.
        pad: The plane between the anchors.
        noises: Of the anchors that are pictures.
        frames: Of the film that was made last.
    """

    title: ClassVar[str] = "Walk & Directions"

    def __init__(self, session: Session, *, settings: BlendSettings | None = None, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: Of a model of text, of classes, or without a condition.
            settings: Anchors and all else to begin with; None: four seeds of an example.
            name: See ``Panel``.
        """
        asked = settings or BlendSettings.of(prompt=EXAMPLE, seeds=[1, 2, 3, 4], across=0.5, down=0.5)
        start = session.call(lambda model: model.resolved(asked)).result()
        super().__init__(session, name=name)
        self.form = SettingsForm(start, fields=FIELDS)
        self.noises: tuple[PastedLatent, ...] = start.noises
        self.frames: list[Image.Image] = []
        self.pad = PuckPad(label="Place between the anchors", place=[start.across, start.down])
        self.view = FrameView(width=256, placeholder="Move the puck, or press Make.")
        self.film_view = Scrubber(label="Frame", width=256, placeholder="The frames of a film come here.")
        self.directions = DirectionsSection(self)
        self._asked: tuple[Any, ...] | None = None
        self._own: list[Job] = []
        self._build_controls(start.prompts)
        self._arrange()
        self._name_anchors()

    def settings(self) -> BlendSettings:
        """What is asked for at the place of the puck.

        Raises:
            RequestError: If the anchors are not accepted.
        """
        across, down = self.pad.place
        prompts = tuple(line.strip() for line in self.prompts.value.splitlines() if line.strip())
        values = {"noises": self.noises, "prompts": prompts, "across": across, "down": down}
        seeds = self.form.controls["seeds"].value
        with_noises = dataclasses.replace(self._base, seeds=seeds, **values)
        rest = {name: self.form.controls[name].value for name in FIELDS if name != "seeds"}
        return dataclasses.replace(with_noises, **rest)

    def make(self, *, preview: bool = False) -> Job:
        """Make the image at the puck; what was asked for before is let go."""
        settings = self.settings()
        if preview:
            settings = dataclasses.replace(settings, num_steps=min(self.preview_steps.value, settings.num_steps))
        self._let_go()
        watch = Watch(status=self.status, on_frame=self.view.paint, on_value=self._show)
        self._own = [self.submit(settings, watch, slot=id(self))]
        return self._own[0]

    def add_picture(self, image: Image.Image) -> Job:
        """Take a picture up to its noise, which becomes an anchor.

        Raises:
            RequestError: If there are four anchors already.
        """
        settings = self.settings()
        num_steps = min(INVERSION_STEPS, settings.num_steps)
        size = {"width": settings.width, "height": settings.height}
        asked = InversionSettings(
            image=PictureSetting.from_image(image), prompt=settings.prompt, num_steps=num_steps, **size
        )
        dataclasses.replace(settings, seeds=(*settings.seeds, 0), prompts=())  # says so, if there is one too many
        watch = Watch(status=self.status, on_frame=self.view.paint, on_value=self._take_noise)
        return self.submit(asked, watch)

    def film(self) -> None:
        """Make the frames of a way, one after the other."""
        self.frames = []
        asked = places_on(self.path.value, self.settings(), self.num_frames.value)
        self._let_go()
        for number, settings in enumerate(asked):
            watch = Watch(status=self.status, on_value=lambda run, number=number: self._take_frame(run, number))
            self._own.append(self.submit(settings, watch))

    def save_film(self, path: str | Path) -> Path:
        """Write the frames as GIF, WebP, MP4, or a strip as PNG.

        Raises:
            RequestError: If there is no frame, or the suffix is another.
        """
        return save_frames(self.frames, path)

    def measure(self) -> None:
        """Draw how long the noise is on the way across, by every way of blending."""
        settings = self.settings()

        def work(model: Pipeline) -> NoisePath:
            return measure_noise_path(model.model.latent_shape(settings.width, settings.height), settings)

        self.call(work, self._draw_lengths)

    def picture(self) -> Image.Image | None:
        """The film, or else the image at the puck."""
        return strip(self.frames) if self.frames else super().picture()

    def code(self) -> str:
        """The image at the puck; noise of pictures is found by inversion first."""
        lines = python_of(dataclasses.replace(self.settings(), noises=()), model=self.session.name).splitlines()
        if not self.noises:
            return "\n".join(lines)
        found = [
            "from ldm_lab.tasks import PastedLatent",
            "",
            f'found = [model.inversion(f"picture-{{i}}.png", num_steps={INVERSION_STEPS}) '
            f"for i in range({len(self.noises)})]",
            f"noises = [PastedLatent.of(run.trajectory[-{INVERSION_STEPS}].z_t[0]) for run in found]",
            "# give these to the call below: noises=noises",
        ]
        place = next(index for index, line in enumerate(lines) if line.startswith("run = "))
        return "\n".join([*lines[:place], *found, *lines[place:]])

    def _let_go(self) -> None:
        """Cancel the image or the film that is being made; samples for directions and inversions go on."""
        for job in self._own:
            job.cancel()
        self._own = []

    def _show(self, run: Run) -> None:
        self.view.settle(run.grid(), alt=f"{run.settings.across:.0%} across, {run.settings.down:.0%} down")
        self.announce(run)

    def _take_noise(self, run: Run) -> None:
        """The noise where the way up and the way down meet."""
        meeting = run.trajectory[-run.settings.num_steps]
        self.noises = (*self.noises, PastedLatent.of(meeting.z_t[0]))
        self._name_anchors()

    def _take_frame(self, run: Run, number: int) -> None:
        self.frames.append(run.images[0])
        self.view.settle(run.images[0], alt=f"frame {number}")
        if len(self.frames) == self.num_frames.value:
            labels = [f"frame {index + 1}" for index in range(len(self.frames))]
            self.film_view.show({"film": sprites(self.frames)}, labels)
            self.announce(run)

    def _draw_lengths(self, path: NoisePath) -> None:
        figure = curves(path.lengths, x=path.shares, x_label="across", y_label="length of the noise")
        self.plot.value = png_of(figure)
        self.explained.value = (
            f'<div class="ldm-note">This way is {path.distance:.2f} lengths of noise long. Noise has length 1 nearly '
            "everywhere; in the middle of a straight line (lerp) between two draws it has 0.71, which no network was "
            "trained on: pictures there are flat. The arc (slerp) and the circle keep the length.</div>"
        )

    def _moved(self) -> None:
        """Preview while the puck is held; settle once it is let go."""
        asked = (tuple(self.pad.place), self.pad.held)
        if asked != self._asked:
            self._asked = asked
            self.make(preview=self.pad.held)

    def _name_anchors(self) -> None:
        seeds = self.form.controls["seeds"].value
        names = [*(f"seed {seed}" for seed in seeds), *(f"picture {i + 1}" for i in range(len(self.noises)))]
        is_circle = self.form.controls["way"].value == "circle"
        self.pad.anchors = names[:MAX_ANCHORS]
        self.pad.flat = len(names) <= 2
        self.pad.label = "Turn around the anchors" if is_circle else "Place between the anchors"

    def _open(self, files: Sequence[dict[str, Any]]) -> None:
        if files:
            self.add_picture(read_image(bytes(files[0]["content"])))

    def _build_controls(self, prompts: tuple[str, ...]) -> None:
        narrow, described = {"width": "auto"}, {"description_width": "7em"}
        self._base = self.form.read()
        self.prompts = ipywidgets.Textarea(
            value="\n".join(prompts),
            description="Sentences",
            placeholder="one a line for each anchor; empty: the prompt for all",
            rows=2,
            style={"description_width": "9.5em"},
            layout={"width": "auto"},
        )
        self.upload = ipywidgets.FileUpload(accept="image/*", description="Picture as anchor", layout=narrow)
        self.preview_steps = ipywidgets.BoundedIntText(
            value=4, min=1, max=50, description="Preview steps", style=described, layout={"width": "12em"}
        )
        self.path = ipywidgets.Dropdown(options=PATHS, description="Film", layout={"width": "16em"}, style=described)
        self.num_frames = ipywidgets.BoundedIntText(
            value=8, min=2, max=64, description="frames", style={"description_width": "4em"}, layout={"width": "9em"}
        )
        self._file = ipywidgets.Text(value="walk.webp", description="to", layout={"width": "13em"})
        self._file.style.description_width = "2em"
        self.plot = PlotView(label="Length of the noise on the way across, by each way of blending", width=400)
        self.explained = ipywidgets.HTML()
        self._buttons = {
            "Make": self.make,
            "Make the film": self.film,
            "Save": lambda: self._say_saved(),
            "Lengths on the way": self.measure,
        }
        self._made = {name: ipywidgets.Button(description=name, layout=narrow) for name in self._buttons}
        for name, action in self._buttons.items():
            self._made[name].on_click(self.guarded(lambda _, action=action: action()))
        self._made["Make"].button_style = "primary"
        self.upload.observe(self.guarded(lambda change: self._open(change.new)), "value")
        self.pad.observe(self.guarded(lambda _: self._moved()), ["place", "held"])
        for name in ("seeds", "way"):
            self.form.controls[name].observe(self.guarded(self._name_anchors))

    def _say_saved(self) -> None:
        path = self.save_film(self._file.value)
        self.status.say(f"Written: {path.resolve()}", kind="done")

    def _arrange(self) -> None:
        row = {"flex_flow": "row wrap", "grid_gap": "4px 8px", "align_items": "center"}
        top = {"flex_flow": "row wrap", "grid_gap": "12px 24px", "align_items": "flex-start"}
        moved = ipywidgets.VBox(
            [self.pad, ipywidgets.HBox([self._made["Make"], self.preview_steps], layout=row)],
            layout={"flex": "0 1 300px", "min_width": "14em"},
        )
        seen = ipywidgets.VBox([self.view], layout={"flex": "0 1 256px"})
        film = ipywidgets.VBox([self.film_view], layout={"flex": "0 1 256px"})
        self.lay_out(
            self.form.widget,
            self.prompts,
            ipywidgets.HBox([self.upload]),
            ipywidgets.HBox([moved, seen, film], layout=top),
            ipywidgets.HBox(
                [self.path, self.num_frames, self._made["Make the film"], self._made["Save"], self._file], layout=row
            ),
            ipywidgets.HBox([self._made["Lengths on the way"]]),
            ipywidgets.HBox([self.plot, self.explained], layout=top),
            self.directions.widget,
        )
