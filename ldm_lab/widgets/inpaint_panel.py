"""A part of a picture made anew: the mask is painted, and what the model makes of it is drawn on the picture."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import save_png
from ldm_lab.core.masks import KnownPixels, known_pixels
from ldm_lab.session import Job, Session, python_of
from ldm_lab.tasks import InpaintingSettings, MaskPicture, Picture, Pipeline, Run
from ldm_lab.tasks.from_picture import nearest_size
from ldm_lab.tasks.inpainting import Box, seen_mask
from ldm_lab.tasks.kinds import CLASS, MASKED, TEXT, UNCONDITIONAL, require
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.mask_pad import MaskPad
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.picture_choice import PictureChoice
from ldm_lab.widgets.pictures import CompareSlider, FrameView
from ldm_lab.widgets.seeds import SeedsControl
from ldm_lab.widgets.watch import Watch

EXAMPLE = "a small blue star on white"
WISHES = {TEXT: ("prompt", "negative_prompt"), CLASS: ("label",)}
WALK = ("seeds", "num_steps", "sampler", "strength", "num_resamplings", "jump_length")
MASK = ("masked_content", "mask_blur", "only_masked", "padding")
PICTURE_WIDTH = 448  # pixels on the screen


class InpaintPanel(Panel):
    """Paint over what shall be made anew; every other pixel comes back as it was, which is checked.

    Attributes:
        choice: Which picture.
        pad: The picture, and the mask that is painted over it.
        form: The settings.
        view: The result while it comes.
        slider: The picture and the result.
        compare: Whether the slider is shown in the place of the result.
        check: How far the result departs from the picture outside of the mask.
    """

    title: ClassVar[str] = "Inpaint"

    def __init__(self, session: Session, image: Image.Image | None = None, *, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: Of a model for inpainting, or of text, of classes, or without a condition.
            image: RGB; None: a scene of the built-in world.
            name: See ``Panel``.

        Raises:
            RequestError: If the model is of another kind.
        """
        start = session.call(_beginning).result()
        super().__init__(session, name=name)
        self.choice = PictureChoice(image, on_change=self.show_choice, guarded=self.guarded)
        self._multiple, self._image_size = start.multiple, start.image_size
        self.pad = MaskPad(label="Mask over the picture", on_file=self.guarded(self.open_mask))
        self.seeds = SeedsControl()
        self.form = SettingsForm(
            start.settings, fields=start.fields, choices=start.choices, controls={"seeds": self.seeds}
        )
        self.view = FrameView(width=PICTURE_WIDTH, placeholder="Paint over a part of the picture, then press Repaint.")
        self.slider = CompareSlider(before_name="picture", after_name="result", width=PICTURE_WIDTH)
        self.compare = ipywidgets.Checkbox(description="Compare with the picture", indent=False)
        self.check = ipywidgets.HTML()
        self._build_buttons()
        self._observe()
        self._arrange()
        self.show_choice()

    @property
    def settings(self) -> InpaintingSettings:
        """What is asked for.

        Raises:
            RequestError: If a value is not accepted.
        """
        return dataclasses.replace(self.form.read(), image=self._picture, mask=self.pad.mask)

    def show_choice(self) -> None:
        """Show the picture that is chosen, in the nearest size that the model takes, under an empty mask."""
        chosen = Picture.from_image(self.choice.image)
        self._picture = chosen.fitted(*nearest_size(*chosen.size, multiple=self._multiple))
        if chosen.size != self._picture.size:
            sizes = [f"{each.width} x {each.height}" for each in (chosen, self._picture)]
            self.status.say(f"The picture of {sizes[0]} pixels was scaled and cut to {sizes[1]}.")
        self.pad.show_picture(self._picture.image, _empty(self._picture))
        self.form.controls["only_masked"].set(max(self._picture.size) > self._image_size)

    def paint(self, mask: object) -> None:
        """Take a mask instead of painting one: whatever ``MaskPicture.of`` reads, of the picture's size.

        Raises:
            ImageError: If it is no mask, or of another size.
        """
        read = MaskPicture.of(mask)
        dataclasses.replace(self.settings, mask=read)  # names both sizes if they differ
        self.pad.show_mask(read)

    def open_mask(self, content: bytes) -> None:
        """Take the content of a mask's file, as ``paint``."""
        self.paint(content)

    def repaint(self) -> Job:
        """Make the masked part anew.

        Raises:
            RequestError: If the mask is empty or covers everything.
        """
        _check_mask(self.pad.mask)
        self.seeds.renew()
        settings = self.settings
        watch = Watch(
            status=self.status,
            on_frame=self.view.paint,
            on_value=self._show,
            on_end=lambda: self._set_running(False),
        )
        self._set_running(True)
        return self.submit(settings, watch)

    def stop(self) -> None:
        """End the walk within one step; what is there becomes a partial run."""
        for job in self.pending:
            job.stop()

    def take_result(self) -> None:
        """Go on with the first image of the result, under the same mask.

        Raises:
            RequestError: If there is none yet.
        """
        if self.run is None:
            raise RequestError("there is no result yet; press Repaint first")
        mask = self.pad.mask
        self.choice.take(self.run.images[0])
        self.pad.show_mask(mask)

    def save_pictures(self, folder: str | Path = ".") -> None:
        """Write picture and mask as the files ``image.png`` and ``mask.png``, which ``code`` names.

        Raises:
            CheckpointError: If they cannot be written.
        """
        save_png(Path(folder) / "image.png", self._picture.image)
        save_png(Path(folder) / "mask.png", self.pad.mask.image)

    def code(self) -> str:
        """The run that is asked for."""
        return f"# panel.save_pictures() writes the two files\n{python_of(self.settings, model=self.session.name)}"

    def _look(self) -> None:
        """Draw on the picture what the model makes of the mask."""
        settings = self.settings
        self.call(lambda model: _seen(model, settings), self._show_seen)

    def _show_seen(self, seen: "_Seen") -> None:
        self.pad.show_seen(seen.cells, seen.box, num_cells=seen.num_cells, num_all=seen.num_all)

    def _show(self, run: Run) -> None:
        self.view.settle(run.grid(), alt=f"{len(run.images)} results: {run.settings.title}")
        settings = run.settings
        self.slider.compare(settings.image.image, run.images[0])
        mask = settings.mask.tensor()[0]
        worst = max(
            (known_pixels(image, settings.image.image, mask) for image in run.images), key=lambda each: each.max_change
        )
        self.check.value = _check_html(worst)
        self._continue.disabled = False
        self.announce(run)

    def _set_running(self, is_running: bool) -> None:
        self._stop.disabled = not is_running

    def _build_buttons(self) -> None:
        self._repaint = ipywidgets.Button(description="Repaint", icon="paint-brush", button_style="primary")
        self._stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, tooltip="Ends within one step.")
        self._continue = ipywidgets.Button(
            description="Continue with the result", icon="arrow-left", disabled=True, layout={"width": "auto"}
        )
        self._repaint.on_click(self.guarded(lambda _: self.repaint()))
        self._stop.on_click(self.guarded(lambda _: self.stop()))
        self._continue.on_click(self.guarded(lambda _: self.take_result()))

    def _observe(self) -> None:
        look = self.guarded(self._look)
        self.pad.observe(lambda _: look(), "mask")
        for name in ("only_masked", "padding"):
            self.form.controls[name].observe(look)

    def _arrange(self) -> None:
        side = {"flex": "1 1 20em", "max_width": f"{PICTURE_WIDTH}px", "grid_gap": "8px"}
        self.compare.observe(lambda _: self._choose_view(), "value")
        self._choose_view()
        painted = ipywidgets.VBox([self.pad], layout=side)
        made = ipywidgets.VBox([self.compare, self.view, self.slider, self.check], layout=side)
        pictures = ipywidgets.HBox([painted, made], layout={"flex_flow": "row wrap", "grid_gap": "12px 24px"})
        buttons = ipywidgets.HBox([self._repaint, self._stop, self._continue], layout={"flex_flow": "row wrap"})
        self.lay_out(self.choice.widget, pictures, self.form.widget, buttons)

    def _choose_view(self) -> None:
        """Show the result alone, or beside the picture."""
        self.slider.layout.display = None if self.compare.value else "none"
        self.view.layout.display = "none" if self.compare.value else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beginning:
    """What the panel has to know of a model: settings to begin with, which of them are asked, sizes that it takes."""

    settings: InpaintingSettings
    fields: tuple[str, ...]
    choices: dict[str, tuple]
    multiple: int
    image_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    cells: Image.Image
    box: Box
    num_cells: int
    num_all: int


def _beginning(model: Pipeline) -> _Beginning:
    kind = require(model.model, TEXT, CLASS, UNCONDITIONAL, MASKED, task="inpainting")
    config = model.model.config
    picture = Picture.from_image(Image.new("RGB", (config.image_size, config.image_size)))  # until one is chosen
    settings = model.resolved(InpaintingSettings(image=picture, mask=_empty(picture)))
    labels = config.conditioner.names or tuple(range(config.conditioner.num_classes)) if kind is CLASS else None
    return _Beginning(
        settings=dataclasses.replace(settings, width=None, height=None, prompt=EXAMPLE if kind is TEXT else ""),
        fields=(*WISHES.get(kind, ()), *WALK, *(("guidance_scale",) if kind in WISHES else ()), *MASK),
        choices={"label": labels} if labels else {},
        multiple=config.autoencoder.downsampling_factor * config.unet.side_factor,
        image_size=config.image_size,
    )


def _seen(model: Pipeline, settings: InpaintingSettings) -> _Seen:
    cells, box = seen_mask(model.model, model.resolved(settings))
    area = model.model.config.autoencoder.downsampling_factor**2  # pixels of a cell
    levels = cells.tobytes()
    return _Seen(cells=cells, box=box, num_cells=levels.count(255) // area, num_all=len(levels) // area)


def _empty(picture: Picture) -> MaskPicture:
    return MaskPicture.from_image(Image.new("L", picture.size))


def _check_mask(mask: MaskPicture) -> None:
    if mask.share == 0.0:
        raise RequestError("the mask is empty, so nothing was run; paint over what shall be made anew")
    if mask.share == 1.0:
        raise RequestError("the mask covers the whole picture, so nothing was run; leave out what shall be kept")


def _check_html(known: KnownPixels) -> str:
    """Whether what was to be kept was kept; measured on the finished picture."""
    symbol = "✓" if known.max_change == 0 else "⚠"
    return (
        f'<div class="ldm-note">{symbol} {known.count} unmasked pixels changed by at most {known.max_change} of 255 '
        "levels.</div>"
    )
