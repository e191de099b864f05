"""Run Compare: two images of two runs, what was asked differently, and how far their walks went together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets
from PIL import Image

from ldm_lab.api import open_run
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import strip
from ldm_lab.evaluation.picture_pair import PictureDistance, picture_distance
from ldm_lab.session import Session, count_common_steps, diff_settings, lines_that_make
from ldm_lab.tasks import Pipeline, Run
from ldm_lab.viz import error_map, paint
from ldm_lab.widgets.blink import Blink
from ldm_lab.widgets.controls import offer
from ldm_lab.widgets.drop_zone import DropZone
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.picture_row import PictureRow
from ldm_lab.widgets.pictures import CompareSlider

MAX_LETTERS = 60  # of a value in the table of settings
LPIPS_LIMIT = 1.0  # what the lightest colour of the map stands for; equal pictures have 0


@dataclass(frozen=True, slots=True)
class Choice:
    """An image of a run in the library.

    Attributes:
        run: Number of the run.
        image: Number of its image.
    """

    run: int
    image: int


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two images side by side.

    Attributes:
        settings: Those that differ, each with both values.
        num_common_steps: Steps from the first on that are the same in both walks, bit for bit.
        distance: How far the pictures are apart.
        difference: Where, in colours.
    """

    settings: dict[str, tuple[Any, Any]]
    num_common_steps: int
    distance: PictureDistance
    difference: Image.Image


class RunComparePanel(Panel):
    """A library of runs, and two of their images: slider, blinking, difference, LPIPS, what was asked differently.

    Attributes:
        runs: The library; ``add`` adds to it.
    """

    title = "Run Compare"

    def __init__(self, session: Session, runs: Sequence[Run] = (), *, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: What makes runs again that are opened from files.
            runs: To begin with; the first two are compared.
            name: A panel of the same name is closed.
        """
        super().__init__(session, name=name)
        self.runs: list[Run] = []
        self._compared: tuple[Choice, Choice] | None = None
        self.drop = DropZone(self.guarded(self.open), accept=".png", label="Drop PNGs of runs here, or choose them.")
        self.slider = CompareSlider(placeholder="Two images are needed.", width=320)
        self.blink = Blink(placeholder="Two images are needed.", width=320)
        self.maps = PictureRow(width=240, label="The two images and where they differ")
        self.table = ipywidgets.HTML()
        beside = ipywidgets.HBox([self.slider, self.blink], layout={"flex_flow": "row wrap", "grid_gap": "8px 24px"})
        self.lay_out(self._make_controls(), self.drop, beside, self.maps, self.table)
        for run in runs:
            self.add(run)

    def add(self, run: Run) -> None:
        """Put a run into the library; a generate panel's ``on_result`` takes this method."""
        self.runs.append(run)
        self._list()
        if len(self.runs) == 1:
            self.status.say("One run is here; add another to compare it with.")

    def open(self, name: str, content: bytes) -> None:
        """Add the run that a PNG carries; it is made again.

        Args:
            name: What the file is called.
            content: Its bytes.
        """

        def work(model: Pipeline) -> Run:
            run = open_run(content, model=model)
            _ = run.outcome  # made here, in the thread that computes
            return run

        self.status.say(f"Making the run of {name} again …", kind="busy")
        self.call(work, then=self._add_opened)

    def compare(self, first: Choice, second: Choice) -> None:
        """Compare two images of the library.

        Raises:
            RequestError: If one of them is not there.
        """
        for choice in (first, second):
            if not (0 <= choice.run < len(self.runs) and 0 <= choice.image < self._num_images(choice.run)):
                raise RequestError(
                    f"there is no image {choice.image} of run {choice.run}; {len(self.runs)} runs are here"
                )
        self.call(lambda _: self._work_out(first, second), then=lambda found: self._show(first, second, found))

    def code(self) -> str:
        """Python that compares the same two."""
        if self._compared is None:
            return "# two images are needed: panel.add(run)"
        first, second = self._compared
        lines = lines_that_make(self.runs[first.run], model=self.session.name, name="first")
        return "\n".join(
            [
                *lines,
                *lines_that_make(self.runs[second.run], model=self.session.name, name="second")[3:],
                "",
                "from ldm_lab.evaluation.picture_pair import picture_distance",
                "from ldm_lab.session import count_common_steps, diff_settings",
                "differing = diff_settings(first, second)",
                "num_common_steps = count_common_steps(first, second)",
                f"distance = picture_distance(first.images[{first.image}], second.images[{second.image}])",
            ]
        )

    def picture(self) -> Image.Image | None:
        """The two images and their difference."""
        if self.result is None:
            return None
        return strip([*map(self._image, self._compared), self.result.difference])

    def _make_controls(self) -> ipywidgets.Widget:
        self.search = ipywidgets.Text(description="Search", placeholder="words of the settings", continuous_update=True)
        self.first = ipywidgets.Dropdown(description="A")
        self.second = ipywidgets.Dropdown(description="B")
        self._is_listing = False
        for choice in (self.first, self.second):
            choice.observe(self.guarded(lambda _: self._compare_chosen()), "value")
        self.search.observe(self.guarded(lambda _: self._list()), "value")
        columns = "repeat(auto-fit, minmax(min(100%, 22em), 1fr))"
        for control in (self.search, self.first, self.second):
            control.layout.width = "auto"
        layout = {"grid_template_columns": columns, "grid_gap": "4px 16px"}
        return ipywidgets.GridBox([self.search, self.first, self.second], layout=layout)

    def _list(self) -> None:
        """Offer what the search finds; what is chosen stays, if it is among it and not twice the same."""
        found = [(self._name(choice), choice) for choice in self._choices() if self._is_found(choice)]
        offered = [choice for _, choice in found]
        before = self.first.value, self.second.value
        self._is_listing = True  # to list choices chooses the first of them, and nobody asked for that
        for dropdown in (self.first, self.second):
            offer(dropdown, found)
        if offered:
            self.first.value = before[0] if before[0] in offered else offered[0]
            others = [choice for choice in offered if choice != self.first.value] or offered
            self.second.value = before[1] if before[1] in others else others[0]
        self._is_listing = False
        if (self.first.value, self.second.value) != before:
            self._compare_chosen()

    def _choices(self) -> Iterator[Choice]:
        for number in range(len(self.runs)):
            for image in range(self._num_images(number)):
                yield Choice(number, image)

    def _num_images(self, number: int) -> int:
        return len(self.runs[number].settings.image_names)

    def _name(self, choice: Choice) -> str:
        settings = self.runs[choice.run].settings
        return f"run {choice.run}, {settings.image_names[choice.image]}: {settings.title}"

    def _is_found(self, choice: Choice) -> bool:
        text = f"{self._name(choice)} {self.runs[choice.run].settings!r}".lower()
        return all(word in text for word in self.search.value.lower().split())

    def _image(self, choice: Choice) -> Image.Image:
        return self.runs[choice.run].images[choice.image]

    def _compare_chosen(self) -> None:
        if (
            not self._is_listing
            and None not in (self.first.value, self.second.value)
            and len(list(self._choices())) > 1
        ):
            self.compare(self.first.value, self.second.value)

    def _add_opened(self, run: Run) -> None:
        self.add(run)
        self.status.say(" ".join(["The run was opened.", *map(_sentence, run.notes)]), kind="done")

    def _work_out(self, first: Choice, second: Choice) -> Comparison:
        pictures = self._image(first), self._image(second)
        distance = picture_distance(*pictures)
        runs = self.runs[first.run], self.runs[second.run]
        return Comparison(diff_settings(*runs), count_common_steps(*runs), distance, error_map(*pictures))

    def _show(self, first: Choice, second: Choice, found: Comparison) -> None:
        self._compared = first, second
        pictures = self._image(first), self._image(second)
        self.slider.before_name, self.slider.after_name = "A", "B"
        self.slider.compare(*pictures)
        self.blink.names = [
            f"{letter}: {self._name(choice)}" for letter, choice in zip("AB", (first, second), strict=True)
        ]
        self.blink.show(*pictures)
        self.maps.show({"A": pictures[0], "B": pictures[1], **_maps(found)})
        self.table.value = self._table(found)
        self.status.say(self._summary(found), kind="done")
        self.announce(found)

    def _summary(self, found: Comparison) -> str:
        first, second = (len(self.runs[choice.run].trajectory) for choice in self._compared)
        if found.num_common_steps == first == second:
            return f"All {first} steps are the same, bit for bit."
        if found.num_common_steps == 0:
            return "The walks differ from the first step on."
        return f"The walks are the same up to step {found.num_common_steps}, of {first} and {second} steps."

    def _table(self, found: Comparison) -> str:
        """Figures and settings, as HTML."""
        rows = [_row(name, *map(_shortened, pair)) for name, pair in found.settings.items()]
        asked = f"<table>{_row('', 'A', 'B', cell='th')}{''.join(rows)}</table>"
        same = '<div class="ldm-note">Nothing was asked differently.</div>'
        return f"<div>{escape(_figures(found.distance))}</div>{asked if rows else same}"


def _maps(found: Comparison) -> dict[str, Image.Image]:
    """Where they differ, by how it was measured."""
    maps = {"difference": found.difference}
    if found.distance.lpips_map is not None:
        maps["LPIPS"] = paint(found.distance.lpips_map, low=0.0, high=LPIPS_LIMIT)
    return maps


def _figures(distance: PictureDistance) -> str:
    figures = [f"PSNR {distance.psnr:.2f} dB"]
    figures += [] if distance.ssim is None else [f"SSIM {distance.ssim:.4f}"]
    figures += [] if distance.lpips is None else [f"LPIPS {distance.lpips:.4f}"]
    absent = [f"not measured: {re.split('[,;]', reason)[0]}" for reason in distance.missing]
    return "; ".join([", ".join(figures), *absent])


def _row(*texts: str, cell: str = "td") -> str:
    style = "text-align:left;vertical-align:top;line-height:1.5;padding-right:1.5em"
    cells = [f'<{cell} style="{style}">{escape(text)}</{cell}>' for text in texts]
    return f"<tr>{''.join(cells)}</tr>"


def _shortened(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
