"""The Linked Microscope: a cell of the latent, its pixels, its numbers and the words that it looks at, all at once."""

from typing import Any

import ipywidgets
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import strip
from ldm_lab.probes import (
    LatentWalk,
    LayerGroup,
    WordWalk,
    ablation_influence,
    latent_walk,
    normal_histogram,
    walk_words,
)
from ldm_lab.probes.influence import Influence
from ldm_lab.probes.latents import LIMIT
from ldm_lab.sampling import Step
from ldm_lab.session import Job, Session, check_made_by, count_common_steps, lines_that_make
from ldm_lab.tasks import Pipeline, Run
from ldm_lab.viz import Planes, channel_images, channel_limits, planes, sprites
from ldm_lab.widgets.controls import offer
from ldm_lab.widgets.microscope import Microscope, MicroscopeRecord
from ldm_lab.widgets.panel import Panel

MAX_BYTES = 2_000_000  # of the maps that the browser gets at once; of longer walks it gets some of the steps
MAX_STEPS = 200
SMALL = 128  # pixels; frames up to this side are sent without loss, as they are enlarged
ALL_LAYERS = "all layers"
NO_RUN = "No run yet: open the panel with one, or let it look at another: panel.look_at(run)"
HINT = "Not recorded. “Record attention” makes the run again with the same seeds and records where it looks."


class LinkedMicroscopePanel(Panel):
    """A run through a microscope; no peer has it.

    Hovering a cell, its pixels or a channel shows the others, and clicking measures what the decoder makes of the cell.
    Attention is recorded by making the run again.

    Attributes:
        view: The linked views.
    """

    title = "Linked Microscope"

    def __init__(self, session: Session, run: Run | None = None, *, image: int = 0, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: Of the model that made the run.
            run: What is looked at; None: what ``look_at`` is given later.
            image: Which of its images.
            name: A panel of the same name is closed.
        """
        super().__init__(session, name=name)
        self._run: Run | None = None
        self._image = image
        self._is_listing = False
        self._walk: LatentWalk | None = None
        self._words: WordWalk | None = None
        self._recording: Job | None = None
        self.view = Microscope(placeholder=NO_RUN, hint=HINT, label="Linked microscope")
        self.view.observe(self.guarded(lambda change: self.measure(*change.new)), "pinned")
        self.lay_out(self._make_controls(), self.view)
        if run is not None:
            self.look_at(run, image=image)

    @property
    def run(self) -> Run | None:
        """What is looked at."""
        return self._run

    def look_at(self, run: Run, *, image: int = 0) -> None:
        """Look at another run; a generate panel's ``on_result`` takes this method."""
        self.status.say("Decoding the steps …", kind="busy")
        self.call(lambda model: self._prepare(model, run, image), then=self._show)

    def record(self) -> None:
        """Make the run again, and record where it looks for each word."""
        run = self._needed(self._run)
        self._recording = self.call(lambda model: walk_words(model, run, on_step=self._tell), then=self._show_words)

    def stop(self) -> None:
        """End the recording."""
        if self._recording is not None:
            self._recording.cancel()

    def measure(self, row: int, column: int, step: int = -1) -> None:
        """Measure what the decoder makes of a cell.

        Args:
            row: Counted from the top.
            column: Counted from the left.
            step: Which of the steps that are shown; -1: the last.
        """
        walk = self._needed(self._walk)
        place = range(len(walk.steps))[step]
        z = walk.z[place]
        self.status.say("Measuring the influence of the cell …", kind="busy")

        def work(model: Pipeline) -> Influence:
            return ablation_influence(model.model, z.to(model.device), [(row, column)])

        self.call(work, then=lambda influence: self._show_influence(influence, place, columns=z.shape[2]))

    def code(self) -> str:
        """Python that measures what is shown."""
        if self._run is None or self._walk is None:
            return f"# {NO_RUN}"
        row, column, place = self.view.pinned or (0, 0, len(self._walk.steps) - 1)
        at = self._run.trajectory.index(self._walk.steps[place])
        return "\n".join(
            [
                *lines_that_make(self._run, model=self.session.name),
                "",
                "from ldm_lab.probes import ablation_influence, walk_words",
                f"step = run.trajectory[{at}]",
                f"z = step.z_0_pred[{self._image}]",
                f"z[:, {row}, {column}]  # the cell",
                f"influence = ablation_influence(model.model, z.to(model.device), [({row}, {column})])",
                *(["", *self._attention_code(row, column)] if self._words else []),
            ]
        )

    def picture(self) -> Image.Image | None:
        """The picture and the channels of its latent."""
        if self._walk is None or self._run is None:
            return None
        image = self._run.images[self._image]
        channels = channel_images(self._walk.z[-1], scale=image.width // self._walk.z.shape[3])
        return strip([image, *channels]) if channels[0].size == image.size else strip(channels)

    def _make_controls(self) -> ipywidgets.Widget:
        self.images = ipywidgets.Dropdown(description="Image", layout={"width": "22em", "display": "none"})
        self.layers = ipywidgets.Dropdown(description="Layers", options=[(ALL_LAYERS, ALL_LAYERS)], disabled=True)
        self.layers.tooltip = "Whose attention is shown"
        self.layers.layout.width = "16em"
        record = ipywidgets.Button(description="Record attention", icon="circle", tooltip=HINT)
        stop = ipywidgets.Button(description="Stop", icon="stop", tooltip="End the recording")
        record.on_click(self.guarded(lambda _: self.record()))
        stop.on_click(self.guarded(lambda _: self.stop()))
        self.layers.observe(self.guarded(lambda _: self._deliver_words()), "value")
        self.images.observe(self.guarded(lambda change: self._choose_image(change.new)), "value")
        return ipywidgets.HBox([self.images, record, stop, self.layers], layout={"flex_flow": "row wrap"})

    def _choose_image(self, image: int | None) -> None:
        if not self._is_listing and self._run is not None and image is not None:
            self.look_at(self._run, image=image)

    def _prepare(self, model: Pipeline, run: Run, image: int) -> tuple[Run, int, LatentWalk, MicroscopeRecord]:
        """In the thread that computes: all that the browser needs."""
        check_made_by(run, model)
        frames = run.frames(image, num_frames=_room_for_steps(run))
        walk = latent_walk([step for step, _ in frames], image=image)
        pictures = [picture for _, picture in frames]
        record = MicroscopeRecord(
            labels=[f"step {step.index + 1}, t = {step.t:g}" for step in walk.steps],
            frames=sprites(pictures, max_frames=len(pictures), lossless=max(pictures[0].size) <= SMALL),
            factor=pictures[0].width // walk.z.shape[3],
            latents=planes(walk.z),
            densities=planes(walk.histograms, bits=8, low=0.0),
            normal=normal_histogram().tolist(),
            limit=LIMIT,
            limits=channel_limits(walk.z),
        )
        return run, image, walk, record

    def _show(self, prepared: tuple[Run, int, LatentWalk, MicroscopeRecord]) -> None:
        self._run, self._image, self._walk, record = prepared
        self._words = None
        self._forget_words()
        self.view.show(record)
        names = self._run.settings.image_names
        self._is_listing = True  # to list the images chooses the first of them, and nobody asked for that
        offer(self.images, [(title, number) for number, title in enumerate(names)])
        self.images.value = self._image
        self._is_listing = False
        self.images.layout.display = None if len(names) > 1 else "none"
        self._say_what_is_shown()
        self.announce(self._run)

    def _say_what_is_shown(self) -> None:
        shown, taken = len(self._walk.steps), len(self._run.trajectory)
        which = f"All {shown} steps" if shown == taken else f"{shown} of {taken} steps, evenly spaced,"
        self.status.say(f"{which} are shown.", kind="done")

    def _forget_words(self) -> None:
        offer(self.layers, [(ALL_LAYERS, ALL_LAYERS)])
        self.layers.disabled = True

    def _tell(self, step: Step) -> None:
        done, expected = step.index + 1, self._run.settings.length
        self.status.say(f"Recording step {done} of {expected}", kind="busy", done=done, expected=max(done, expected))

    def _show_words(self, words: WordWalk) -> None:
        self._words = words
        offer(self.layers, [(ALL_LAYERS, ALL_LAYERS), *((str(group), group) for group in words.maps)])
        self.layers.disabled = False
        self._deliver_words()
        if count_common_steps(self._run, words.run) == len(self._run.trajectory):
            self.status.say("Recorded; the run made again is the same, bit for bit.", kind="done")
        else:
            self.status.say(
                "Recorded; made again, the run differs in its bits: another machine or versions.", kind="warning"
            )
        self.announce(words)

    def _deliver_words(self) -> None:
        if self._words is None or self._walk is None:
            return
        words, walk, image, group = self._words, self._walk, self._image, self._group

        def work(_: Pipeline) -> Planes:
            indices, size = [step.index for step in walk.steps], tuple(walk.z.shape[2:])
            return planes(words.over(indices, size=size, image=image, group=group), bits=8, low=0.0)

        names = [word.text for word in words.words]
        self.call(work, then=lambda shares: self.view.show_attention(names, shares, shares.high))

    @property
    def _group(self) -> LayerGroup | None:
        """The layers whose attention is shown; None: all of them."""
        return self.layers.value if isinstance(self.layers.value, LayerGroup) else None

    def _show_influence(self, influence: Influence, step: int, *, columns: int) -> None:
        ((row, column),) = influence.cells
        packed = planes(influence.heat[0], bits=8, low=0.0)
        text = (
            f"Without this cell, pixels move by up to {packed.high / 2:.0%} of their range; nine tenths of that lie "
            f"within {influence.radius[0]:.0f} pixels."
        )
        self.view.show_influence(row * columns + column, step, packed, most=packed.high, text=text)
        self.status.say(f"Row {row}, column {column}: {text}", kind="done")
        self.announce(influence)

    def _attention_code(self, row: int, column: int) -> list[str]:
        group = self._group
        chosen = "" if group is None else f", group=LayerGroup({group.place!r}, {group.level})"
        return [
            *([] if group is None else ["from ldm_lab.probes import LayerGroup"]),
            "walk = walk_words(model, run)",
            "indices = [step.index for step in run.trajectory]",
            f"shares = walk.over(indices, size=z.shape[1:], image={self._image}{chosen})",
            f"shares[:, :, {row}, {column}]  # of each step and word",
        ]

    def _needed(self, found: Any) -> Any:
        if found is None:
            raise RequestError("there is no run to look at yet; give one: panel.look_at(run)")
        return found


def _room_for_steps(run: Run) -> int:
    """How many steps fit into what the browser gets at once: two bytes a number, one for each word at every cell."""
    channels, height, width = run.trajectory[0].z_t.shape[1:] if run.trajectory else (1, 1, 1)
    words = len(getattr(run.settings, "prompt", "").split())
    return max(1, min(MAX_STEPS, MAX_BYTES // ((2 * channels + words) * height * width)))
