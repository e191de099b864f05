"""The Latent Inspector: what a latent is made of, and what becomes of the picture when that is changed."""

import ipywidgets
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.core.images import strip
from ldm_lab.probes import Inspection, Rearrangement, inspect_latent
from ldm_lab.sampling import Step
from ldm_lab.session import Session, given_values, lines_that_make
from ldm_lab.tasks import Pipeline, Run
from ldm_lab.viz import channel_images, principal_colors
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.gains import gains_control
from ldm_lab.widgets.latent_view import LatentView
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.picture_row import PictureRow

KINDS = {"predicted z_0": "z_0_pred", "z_t": "z_t", "predicted noise": "noise_pred", "next z_t": "z_next"}
OWN, SHARED = "one for each channel", "one for all channels"
FIELDS = ("operation", "tiles", "rows", "columns", "gains")
GIVEN = -1  # in the place of an image's number; None would count as "nothing is chosen"
COLUMNS = "repeat(auto-fit, minmax(min(100%, 23em), 1fr))"
EDGE = 256  # pixels; pictures of cells are enlarged to about this


class LatentInspectorPanel(Panel):
    """A latent of a run, or any other: its channels, statistics beside the prior, spectrum; and changed, decoded.

    Attributes:
        form: What is done to the latent; see ``Rearrangement``.
        view: Its channels.
    """

    title = "Latent Inspector"

    def __init__(
        self,
        session: Session,
        source: Run | Tensor,
        *,
        other: Tensor | None = None,
        image: int = 0,
        name: str | None = None,
    ) -> None:
        """Open the panel.

        Args:
            session: Whose latents they are.
            source: A run, or a scaled latent (C, h, w).
            other: The latent b of "a - b" and the like, (C, h, w); of a run, its other images are offered too.
            image: Which image of the run.
            name: A panel of the same name is closed.

        Raises:
            ShapeError: If a tensor is not one latent.
            RequestError: If the run has no steps.
        """
        _check(source)
        super().__init__(session, name=name)
        self._source, self._other = source, other
        self._num_wishes = 0
        channels = source.trajectory[0].z_t.shape[1] if isinstance(source, Run) else len(source)
        self.form = SettingsForm(Rearrangement(), fields=FIELDS, controls={"gains": gains_control(channels)})
        self.form.widget.layout.grid_template_columns = COLUMNS
        self.view = LatentView(placeholder="The latent is being measured …", label="Channels of the latent")
        self.pictures = PictureRow(width=220, zooms=False, label="Pictures of the latent")
        self.lay_out(self._make_controls(image), self.form.widget, self.view, self.pictures)
        self.form.observe(self.guarded(self.inspect))
        self.inspect()

    @property
    def run(self) -> Run | None:
        """Whose latent it is."""
        return self._source if isinstance(self._source, Run) else None

    def inspect(self) -> None:
        """Look at the latent that the controls say; of several wishes the newest counts."""
        a, b, change, shared = self._latent(), self._partner(), self.form.read(), self.scale.value == SHARED
        self._num_wishes += 1
        number = self._num_wishes

        def work(model: Pipeline) -> Inspection | None:
            return inspect_latent(model, change.apply(a, b)) if number == self._num_wishes else None

        self.call(work, then=lambda found: self._show(found, shared=shared))

    def code(self) -> str:
        """Python that looks at the same latent."""
        asks_for_b = self.form.read().operation != "a"
        change = given_values(self.form.read())
        lines = [*self._setup_code(), f"z = {self._latent_code(self.images.value)}"]
        if asks_for_b:
            lines += [f"b = {self._partner_code()}"]
        if change:
            arguments = ", ".join(f"{name}={value!r}" for name, value in change.items())
            lines += [f"z = Rearrangement({arguments}).apply(z{', b' if asks_for_b else ''})"]
        return "\n".join([*lines, "found = inspect_latent(model, z)", "found.statistics, found.image"])

    def picture(self) -> Image.Image | None:
        """The channels."""
        if self.result is None:
            return None
        return strip(channel_images(self.result.z, scale=_enlargement(self.result.z)))

    def _make_controls(self, image: int) -> ipywidgets.Widget:
        run = self.run
        names, last = (run.settings.image_names, len(run.trajectory)) if run else ([], 1)
        listed = [(title, number) for number, title in enumerate(names)] or [("the latent given", 0)]
        others = [] if self._other is None else [("the other latent given", GIVEN)]
        self.images = ipywidgets.Dropdown(description="Image a", options=listed, value=image)
        self.kind = ipywidgets.Dropdown(description="Latent", options=KINDS)
        self.step = ipywidgets.IntSlider(last, 1, last, description="Step", continuous_update=False)
        self.other = ipywidgets.Dropdown(description="Image b", options=[*others, *listed])
        self.scale = ipywidgets.Dropdown(description="Colours", options=[OWN, SHARED], tooltip="The scale of colours")
        of_runs, always = [self.images, self.kind, self.step], [self.other, self.scale]
        for control in (*of_runs, *always):
            control.layout.width = "auto"
            control.observe(self.guarded(lambda _: self.inspect()), "value")
        for control in () if run else of_runs:
            control.layout.display = "none"
        return ipywidgets.GridBox(
            [*of_runs, *always], layout={"grid_template_columns": COLUMNS, "grid_gap": "4px 16px"}
        )

    @property
    def _step(self) -> Step:
        """The step that is looked at; on the screen the first one is number 1."""
        return self._source.trajectory[self.step.value - 1]

    def _latent(self) -> Tensor:
        return self._latent_of(self.images.value)

    def _latent_of(self, image: int) -> Tensor:
        if self.run is None:
            return self._source
        return getattr(self._step, self.kind.value)[image]

    def _partner(self) -> Tensor:
        return self._other if self.other.value == GIVEN else self._latent_of(self.other.value)

    def _show(self, found: Inspection | None, *, shared: bool) -> None:
        if found is None:
            return
        self.view.show(found, shared=shared)
        self.pictures.show(_pictures(found, self.session))
        self._say(found)
        self.announce(found)

    def _say(self, found: Inspection) -> None:
        channels, height, width = found.z.shape
        where = f", step {self.step.value}, t = {self._step.t:g}" if self.run else ""
        broken = found.statistics.num_broken
        if broken:
            text = f"{broken} of {found.z.numel()} numbers are NaN or infinite; their cells are magenta"
            self.status.say(f"{text}, and it cannot be decoded.", kind="warning", details=found.problem)
        elif found.problem:
            self.status.say(found.problem, kind="error")
        else:
            self.status.say(f"{channels} channels of {height} × {width} cells{where}.", kind="done")

    def _setup_code(self) -> list[str]:
        uses = ["from ldm_lab.probes import Rearrangement, inspect_latent", ""]
        if self.run:
            return [*lines_that_make(self.run, model=self.session.name), *uses]
        return ["import ldm_lab as lab", "", f"model = lab.load({self.session.name!r})", *uses]

    def _latent_code(self, image: int) -> str:
        if self.run is None:
            return "latent  # the one that the panel was given"
        return f"run.trajectory[{self.step.value - 1}].{self.kind.value}[{image}]"

    def _partner_code(self) -> str:
        given = "other  # the other one that the panel was given"
        return given if self.other.value == GIVEN else self._latent_code(self.other.value)


def _pictures(found: Inspection, session: Session) -> dict[str, Image.Image]:
    """What can be seen of it as a whole, by what it is."""
    scale = _enlargement(found.z)
    colors = {"principal components": principal_colors(found.z, scale=scale)}
    if found.statistics.num_broken:
        return colors
    size = colors["principal components"].size
    (linear,) = session.draw(found.z[None])
    decoded = {} if found.image is None else {"decoded": found.image}
    return decoded | {"linear preview": linear.resize(size, Image.Resampling.NEAREST)} | colors


def _enlargement(z: Tensor) -> int:
    """Pixels along the side of a cell."""
    return max(1, EDGE // max(z.shape[1:]))


def _check(source: Run | Tensor) -> None:
    if isinstance(source, Run) and not source.trajectory:
        raise RequestError("the run has no steps to look at; it is one of a walk of zero length")
    if not isinstance(source, Run) and source.ndim != 3:
        raise ShapeError(f"the latent has shape {tuple(source.shape)}; give one latent (C, h, w)")
