"""The part of a tab that shows a run: while it is made, when it is there, and how it came out of the noise."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from apps.studio import markup
from apps.studio.desks import Desk
from apps.studio.models import Models
from apps.studio.pictures import gallery
from ldm_lab.core.errors import RequestError
from ldm_lab.session import Failed, Finished, Frame, Session, Started, python_of
from ldm_lab.tasks import Run, TaskSettings
from ldm_lab.viz import enlarged, sprites

MAX_FRAMES = 24
FRAME_SIDE = 256  # of small frames; a JPEG keeps more of large pixels


class Result:
    """Components that show a run, and the updates that bring one there.

    Attributes:
        outputs: The components, in the order in which updates come.
    """

    def __init__(self, tab: str, *, hint: str) -> None:
        """Make the components here.

        Args:
            tab: Under which the desk keeps the run.
            hint: What to do that an image comes.
        """
        self.tab = tab
        self.preview = gr.HTML(markup.empty(hint), elem_id=f"{tab}-preview")
        self.gallery = gallery("Images", columns=2, buttons=["download", "fullscreen"], elem_id=f"{tab}-gallery")
        self.status = gr.HTML(elem_classes="status", elem_id=f"{tab}-status")
        with gr.Accordion("How it came out of the noise", open=True, visible=False) as self.trajectory:
            self.scrubber = gr.HTML(js_on_load=markup.SCRUBBER_SCRIPT, elem_id=f"{tab}-scrubber")
        with gr.Accordion("Open in a notebook", open=False, visible=False) as self.notebook:
            self.code = gr.Code(language="python", interactive=False, show_label=False, elem_id=f"{tab}-code")
        self.outputs = [
            self.preview,
            self.gallery,
            self.status,
            self.trajectory,
            self.scrubber,
            self.notebook,
            self.code,
        ]

    def walk(
        self,
        desk: Desk,
        models: Models,
        model: str,
        settings: TaskSettings,
        *,
        besides: Callable[[Run], dict[Any, Any]] = lambda run: {},
    ) -> Iterator[dict[Any, Any]]:
        """Carry settings out, and say how it goes; the run lies on the desk then.

        To close the generator ends the work within one step. Every update says all that it means: of those that follow
        each other quickly, Gradio's page applies some as if they were already the next one, and only the last is sure.

        Args:
            desk: Of the visitor.
            models: Of the page.
            model: What makes it.
            settings: What is asked for.
            besides: Updates of other components that belong to the last one.
        """
        yield {self.status: markup.status("Waiting for the model …")}
        with models.lent(model) as session:
            run = yield from self._watched(desk, session, settings)
            desk.runs[self.tab], desk.models[self.tab] = run, model
            yield self.show(run, loaded_as=models.card(model).loaded_as) | besides(run)

    def show(self, run: Run, *, loaded_as: str, index: int = 0) -> dict[Any, Any]:
        """A run that is there."""
        steps = len(run.trajectory)
        return {
            self.preview: gr.update(visible=False),
            self.gallery: gr.update(value=captioned(run), visible=True, columns=min(2, len(run.images))),
            self.status: markup.status(_spell(run), run.notes),
            self.trajectory: gr.update(visible=steps > 0),
            self.scrubber: self.strip(run, index),
            self.notebook: gr.update(visible=True),
            self.code: python_of(run.settings, model=loaded_as),
        }

    def strip(self, run: Run, index: int) -> str:
        """Predicted z_0 of one image at the steps of the walk, under a slider."""
        frames = run.frames(index, num_frames=MAX_FRAMES)
        captions = [f"step {step.index + 1} of {len(run.trajectory)}, t = {step.t:.0f}" for step, _ in frames]
        sheet = sprites([enlarged(frame, side=FRAME_SIDE) for _, frame in frames] or [run.images[index]])
        return markup.scrubber(sheet, captions, alt="predicted image at the chosen step")

    def _watched(self, desk: Desk, session: Session, settings: TaskSettings) -> Iterator[dict[Any, Any]]:
        job = desk.jobs[self.tab] = session.submit(settings)
        expected = 0
        try:
            for event in job.events():
                match event:
                    case Started(resolved):
                        expected = resolved.length
                    case Frame(jpeg, num_done):
                        yield self._coming(jpeg, f"Step {num_done} of {max(num_done, expected)}")
                    case Finished(run):
                        return run
                    case Failed(error):
                        raise error
            raise RequestError("it was stopped before the first step; start it again")
        finally:
            job.cancel()
            job.wait()
            desk.jobs.pop(self.tab, None)

    def _coming(self, jpeg: bytes, sentence: str) -> dict[Any, Any]:
        """A frame of the walk in the place of the images."""
        shown = markup.preview(jpeg, alt=f"what is coming, {sentence.lower()}")
        return {
            self.preview: gr.update(value=shown, visible=True),
            self.gallery: gr.update(visible=False),
            self.status: markup.status(sentence),
        }


def captioned(run: Run) -> list[tuple[Any, str]]:
    """The images, each under its seed; as PNG each carries the run."""
    seeds, images = run.settings.seeds, run.images
    names = [f"seed {seed}" for seed in seeds] if len(seeds) == len(images) else run.settings.image_names
    return list(zip(images, names, strict=True))


def _spell(run: Run) -> str:
    settings, (width, height) = run.settings, run.images[0].size
    steps = f"{run.outcome.stopped_after} of {settings.length} steps" if run.partial else f"{settings.length} steps"
    stopped = "Stopped; this is what was predicted so far. " if run.partial else ""
    return f"{stopped}{steps}, {settings.sampler}, {width} × {height}, {run.outcome.duration_sec:.1f} s"
