"""The compression dial: what first stages of several factors leave of a picture (section 3.1 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ipywidgets
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import strip
from ldm_lab.core.io import format_bytes
from ldm_lab.evaluation.latent_storage import LatentStorage
from ldm_lab.evaluation.one_picture import Reconstruction, reconstruct
from ldm_lab.session import Session, spell_call
from ldm_lab.session.first_stages import FirstStageEntry, LoadedFirstStages, lines_that_load, list_first_stages
from ldm_lab.tasks import Pipeline
from ldm_lab.viz import error_map, png_of, scatter
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.picture_choice import PictureChoice
from ldm_lab.widgets.picture_row import PictureRow
from ldm_lab.widgets.pictures import CompareSlider, PlotView

WHOLE = LatentStorage()
SIDE_BY_SIDE = {"flex_flow": "row wrap", "align_items": "flex-start", "grid_gap": "14px"}


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured of a picture: which first stage, and how its latent was kept."""

    stage: str
    storage: LatentStorage

    @property
    def name(self) -> str:
        """For the plot."""
        bits = "" if self.storage.bits == WHOLE.bits else f", {self.storage.bits} bits"
        noise = f", noise {self.storage.noise:g}" if self.storage.noise else ""
        return f"{self.stage}{bits}{noise}"


class CompressionPanel(Panel):
    """A picture through a first stage, and what that costs; the dial goes from one first stage to the next."""

    title = "Compression Dial"

    def __init__(
        self,
        session: Session,
        *,
        image: Image.Image | None = None,
        folders: Sequence[str | Path] = (),
        name: str | None = None,
    ) -> None:
        """Open the panel.

        Args:
            session: What computes; its model is not used.
            image: RGB; None: a scene of the built-in world.
            folders: First stages of your own beside those that are known.
            name: See ``Panel``.

        Raises:
            RequestError: If there is no first stage on this machine.
        """
        self.entries = list_first_stages(folders)
        present = [entry for entry in self.entries if entry.folder is not None]
        if not present:
            raise RequestError(f"there is no first stage here; train one: {self.entries[0].command}")
        super().__init__(session, name=name)
        self.entry = next((entry for entry in present if entry.config.downsampling_factor == 4), present[0])
        self._first_stages = LoadedFirstStages()
        self._measured: dict[Point, Reconstruction] = {}
        self.choice = PictureChoice(image, on_change=self.measure_all, guarded=self.guarded)
        self.form = SettingsForm(WHOLE, fields=("bits", "noise"))
        self.dial = {entry.name: _dial_button(entry) for entry in self.entries}
        self.views = PictureRow(label="Picture, what comes back, and the error", width=256)
        self.slider = CompareSlider(before_name="picture", after_name="what comes back", width=256)
        self.figures = ipywidgets.HTML()
        self.plot = PlotView(label="PSNR over the bytes of the latent", width=400)
        self._listen()
        self.lay_out(
            self.choice.widget,
            ipywidgets.HBox(list(self.dial.values()), layout={"flex_flow": "row wrap"}),
            ipywidgets.HTML(_absent_note(self.entries)),
            self.form.widget,
            self.views,
            self.figures,
            ipywidgets.HBox([self.slider, self.plot], layout=SIDE_BY_SIDE),
        )
        self.measure_all()

    @property
    def point(self) -> Point:
        """Where the dial stands.

        Raises:
            RequestError: If the storage is not accepted.
        """
        return Point(self.entry.name, self.form.read())

    def turn_to(self, name: str) -> None:
        """Choose a first stage.

        Raises:
            RequestError: If it is not there; the sentence says how it is trained.
        """
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is None:
            known = ", ".join(entry.name for entry in self.entries)
            raise RequestError(f"there is no first stage {name!r:.60}; choose one of {known}")
        if entry.folder is None:
            raise RequestError(f"the weights of {name} are not here; train it: {entry.command}")
        self.entry = entry
        self._mark()
        self.measure()

    def measure(self) -> None:
        """Take the picture through the chosen first stage."""
        self._measure(self.point)

    def measure_all(self) -> None:
        """Take the picture through all first stages that are here, so that they are compared; the chosen one last."""
        self._measured.clear()
        self._mark()
        names = [entry.name for entry in self.entries if entry.folder is not None and entry is not self.entry]
        for name in names:
            self._measure(Point(name, WHOLE))
        self._measure(self.point)

    def picture(self) -> Image.Image | None:
        """Picture, what comes back, error."""
        return None if self.result is None else strip(list(_tiles(self.result).values()))

    def code(self) -> str:
        """The measurement in Python."""
        point = self.point
        lines = [
            *self.choice.code(),
            "from ldm_lab.evaluation.latent_storage import LatentStorage",
            "from ldm_lab.evaluation.one_picture import reconstruct",
            *lines_that_load(self._folder_of(self.entry.name)),
            f"storage = {spell_call('LatentStorage', {'bits': point.storage.bits, 'noise': point.storage.noise})}",
            "made = reconstruct(first_stage, picture, storage=storage)",
            "made.psnr, made.ssim, made.latent_bytes",
        ]
        return "\n".join(lines)

    def _listen(self) -> None:
        self.form.observe(self.guarded(self.measure))
        for name, button in self.dial.items():
            button.on_click(self.guarded(lambda _, name=name: self.turn_to(name)))

    def _measure(self, point: Point) -> None:
        picture, folder = self.choice.image, self._folder_of(point.stage)

        def work(model: Pipeline) -> Reconstruction:
            first_stage = self._first_stages.of(folder, device=model.device)
            return reconstruct(first_stage, picture, storage=point.storage)

        self.call(work, lambda made: self._take(point, made))

    def _folder_of(self, name: str) -> Path:
        """Where a first stage that is here lies."""
        return next(entry.folder for entry in self.entries if entry.name == name and entry.folder is not None)

    def _take(self, point: Point, made: Reconstruction) -> None:
        """Keep a measurement; show it, if it is still the one that is asked for."""
        self._measured[point] = made
        if point != self.point:
            return
        self.views.show(_tiles(made))
        self.slider.compare(made.original, made.image)
        self.figures.value = _figures_html(self.entry, made)
        rates = {key.name: (each.latent_bytes, each.psnr) for key, each in self._measured.items()}
        labels = {"x_label": "bytes of the latent", "y_label": "PSNR in dB"}
        self.plot.value = png_of(scatter(rates, **labels, chosen=point.name, log_x=True))
        self.status.say(f"{point.name}: {made.psnr:.1f} dB; latent to pixels {_ratio(made)}.", kind="done")
        self.announce(made)

    def _mark(self) -> None:
        """The chosen button stands out, and bits are asked for only where there are no codes."""
        for name, button in self.dial.items():
            is_chosen = name == self.entry.name
            button.button_style = "primary" if is_chosen else ""
            button.icon = "check" if is_chosen else ""
        self.form.controls["bits"].widget.disabled = self.entry.has_codes


def _dial_button(entry: FirstStageEntry) -> ipywidgets.Button:
    here = entry.folder is not None
    tooltip = entry.name if here else f"Not trained yet: {entry.command}"
    return ipywidgets.Button(description=entry.title, tooltip=tooltip, disabled=not here, layout={"width": "auto"})


def _absent_note(entries: Sequence[FirstStageEntry]) -> str:
    """Which first stages are grey, and what trains them."""
    absent = [entry for entry in entries if entry.folder is None]
    lines = [f"{escape(entry.title)}: <code>{escape(entry.command)}</code>" for entry in absent]
    if not lines:
        return ""
    return (
        f'<details class="ldm-note"><summary>{len(lines)} are not trained yet</summary>{"<br>".join(lines)}</details>'
    )


def _tiles(made: Reconstruction) -> dict[str, Image.Image]:
    return {
        "picture": made.original,
        "what comes back": made.image,
        "error, light is much": error_map(made.original, made.image),
    }


def _figures_html(entry: FirstStageEntry, made: Reconstruction) -> str:
    shape = " × ".join(map(str, made.z_raw.shape))
    figures = {
        "first stage": escape(entry.name),
        "PSNR": f"{made.psnr:.2f} dB",
        "SSIM": f"{made.ssim:.4f}",
        "LPIPS": "not measured, no weights" if made.lpips is None else f"{made.lpips:.4f}",
        "latent": f"{shape}, {format_bytes(made.latent_bytes)}",
        "pixels": format_bytes(made.picture_bytes),
        "ratio": _ratio(made),
    }
    parts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items())
    return f'<dl class="ldm-figures">{parts}</dl>'


def _ratio(made: Reconstruction) -> str:
    return f"1 : {made.picture_bytes / made.latent_bytes:.1f}"
