"""The view of a walk: frames to scrub through, curves, two pinned steps; all in the browser."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image

from ldm_lab.probes import measure_walk
from ldm_lab.sampling import Step
from ldm_lab.session.preview import draw_latents
from ldm_lab.tasks import Pipeline
from ldm_lab.viz import Sprites, predicted_frames, sprites, walk_frames
from ldm_lab.viz.walks import PREDICTED
from ldm_lab.widgets.browser_view import script, style
from ldm_lab.widgets.pictures import Scrubber, cut_of

MAX_LOSSLESS_PIXELS = 500_000  # of a sheet; beyond it, JPEG keeps a message below a few megabytes
DECODED = "decoded"


@dataclass(frozen=True, slots=True, eq=False)
class WalkSheets:
    """What the view shows of a walk.

    Attributes:
        sheets: Frames by what they show.
        labels: Of each frame.
        curves: Names and numbers, one for each frame.
        skipped: Every how many steps there is a frame; 1: all.
    """

    sheets: dict[str, Sprites]
    labels: tuple[str, ...]
    curves: tuple[tuple[str, tuple[float, ...]], ...]
    skipped: int


class WalkView(Scrubber):
    """A scrubber with curves beside it, and places where steps are pinned to compare them."""

    _esm = script("trajectory", "scrubbing")
    _css = style("trajectory", "scrubber")

    def show_walk(self, walk: WalkSheets, *, follow: bool = False) -> None:
        """Show a walk, and go to its last step if it is to be followed."""
        self.labels = list(walk.labels)
        curves = [{"name": name, "values": values} for name, values in walk.curves]
        buffers = [sheet.data for sheet in walk.sheets.values()]
        self.deliver("sheets", buffers, **cut_of(walk.sheets), curves=curves, follow=follow)


def sheets_of(model: Pipeline, steps: Sequence[Step], *, image: int, decode: Callable | None = None) -> WalkSheets:
    """All that the view shows, by the linear preview; with ``decode`` also the decoded predictions."""
    frames = walk_frames(steps, partial(draw_latents, model.model), image=image)
    sheets = {name: _sheet(pictures) for name, pictures in frames.items()}
    if decode is not None:
        sheets = {DECODED: sprites(predicted_frames(steps, decode, image=image))} | sheets
    return _labelled(model, steps, sheets, image)


def live_sheets_of(model: Pipeline, steps: Sequence[Step], *, image: int) -> WalkSheets:
    """Predicted z_0 alone, while the walk goes on."""
    frames = predicted_frames(steps, partial(draw_latents, model.model), image=image)
    return _labelled(model, steps, {PREDICTED: _sheet(frames)}, image)


def _labelled(model: Pipeline, steps: Sequence[Step], sheets: dict[str, Sprites], image: int) -> WalkSheets:
    kept = next(iter(sheets.values())).indices
    measures = measure_walk([steps[index] for index in kept], model.model.schedule, image=image)
    curves = (
        ("noise share √(1−ᾱ)", measures.noise_rate),
        ("size of z_t (rms)", measures.z_t),
        ("size of predicted z_0 (rms)", measures.z_0),
        ("step |Δz| (rms)", measures.distance),
    )
    labels = tuple(f"step {steps[index].index}, t = {steps[index].t:g}" for index in kept)
    return WalkSheets(sheets, labels, curves, kept[1] - kept[0] if len(kept) > 1 else 1)


def _sheet(frames: list[Image.Image]) -> Sprites:
    pixels = len(frames) * frames[0].width * frames[0].height
    return sprites(frames, lossless=pixels <= MAX_LOSSLESS_PIXELS)
