"""The Sample Map: many latents on a plane, and what the decoder makes of the places between."""

from collections.abc import Sequence

import ipywidgets
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import Blend, SampleMap, Samples, gather_samples, map_samples, methods
from ldm_lab.probes.samples import Source
from ldm_lab.session import Session, lines_that_make
from ldm_lab.tasks import Pipeline, Run
from ldm_lab.viz import thumbnails
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.scatter import Scatter

FLAT = 0.8  # share of the samples' deviation below which a mean of latents decodes dull
MAX_NEIGHBOURS = 8
UMAP_NOTE = "UMAP is offered where it is installed: pip install umap-learn"


class SampleMapPanel(Panel):
    """Runs, pictures or latents on a map, up to 5000 of them.

    Attributes:
        view: The map.
        samples: What lies on it; None before it is made.
    """

    title = "Sample Map"

    def __init__(self, session: Session, sources: Run | Sequence[Source], *, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: Whose first stage encodes pictures and decodes what lies between.
            sources: Runs, RGB pictures of one size, scaled latents (C, h, w) or (B, C, h, w), in any mixture.
            name: A panel of the same name is closed.
        """
        super().__init__(session, name=name)
        self._sources: list[Source] = [sources] if isinstance(sources, Run) else list(sources)
        self.samples: Samples | None = None
        self._map: SampleMap | None = None
        self._place: tuple[float, float] | None = None  # that was asked about last
        self.view = Scatter(placeholder="The map is being made …", label="Map of samples")
        self.view.observe(self.guarded(lambda change: self.ask(*change.new)), "asked")
        self.lay_out(self._make_controls(), self.view)
        self.lay_on_map()

    @property
    def selected(self) -> list[int]:
        """Numbers of the samples that were chosen."""
        return list(self.view.selected)

    def lay_on_map(self) -> None:
        """Make the map by the method that is chosen."""
        method = self.method.value
        self.status.say("Making the map …", kind="busy")

        def work(model: Pipeline) -> tuple[Samples, SampleMap]:
            samples = self.samples or gather_samples(model, self._sources)
            return samples, map_samples(samples.z, method=method)

        self.call(work, then=lambda made: self._show(*made))

    def ask(self, x: float, y: float) -> None:
        """Decode what lies at a place of the map, as far as the samples around it tell.

        Raises:
            RequestError: If the map is not there yet.
        """
        if self._map is None:
            raise RequestError("the map is not made yet; wait until it is there")
        self._place = x, y
        found, count = self._map, self.neighbours.value

        def work(model: Pipeline) -> tuple[Blend, Image.Image]:
            blend = found.between(x, y, num_neighbours=count)
            return blend, model.decode(blend.z[None])[0]

        self.call(work, then=lambda made: self._show_blend(x, y, *made))

    def code(self) -> str:
        """Python that makes the same map, and what was asked of it last."""
        lines = [
            *self._source_code(),
            "",
            "from ldm_lab.probes import gather_samples, map_samples",
            "samples = gather_samples(model, sources)",
            f"found = map_samples(samples.z, method={self.method.value!r})",
        ]
        if self._place:
            x, y = self._place
            lines += [
                f"blend = found.between({x!r}, {y!r}, num_neighbours={self.neighbours.value})",
                "model.decode(blend.z[None])[0]",
            ]
        return "\n".join(lines)

    def picture(self) -> Image.Image | None:
        """The map."""
        if self._map is None or self.samples is None:
            return None
        return thumbnails(self._map.points, self.samples.pictures)

    def _make_controls(self) -> ipywidgets.Widget:
        titles = {"pca": "PCA", "umap": "UMAP"}
        offered = methods()
        self.method = ipywidgets.Dropdown(
            description="Method",
            options=[(titles[method], method) for method in offered],
            tooltip="How places are found",
        )
        self.neighbours = ipywidgets.IntSlider(
            4, 1, MAX_NEIGHBOURS, description="Neighbours", tooltip="Of what lies between", continuous_update=False
        )
        self.method.observe(self.guarded(lambda _: self.lay_on_map()), "value")
        self.neighbours.observe(self.guarded(lambda _: self._ask_again()), "value")
        note = ipywidgets.HTML("" if "umap" in offered else f'<span class="ldm-note">{UMAP_NOTE}</span>')
        return ipywidgets.HBox([self.method, self.neighbours, note], layout={"flex_flow": "row wrap"})

    def _ask_again(self) -> None:
        if self._place:
            self.ask(*self._place)

    def _show(self, samples: Samples, found: SampleMap) -> None:
        self.samples, self._map, self._place = samples, found, None
        self.view.show(found, samples)
        shown = f"{len(samples.names)} samples"
        if found.explained is not None:
            across, up = found.explained
            shown += f"; the axes hold {across:.0%} and {up:.0%} of their variance"
        self.status.say(f"{shown}.", kind="done")
        self.announce(found)

    def _show_blend(self, x: float, y: float, blend: Blend, image: Image.Image) -> None:
        text = _trust(blend)
        self.view.show_blend(x, y, blend, image, text=text)
        self.status.say(text, kind="warning" if blend.is_far else "done")
        self.announce(blend)

    def _source_code(self) -> list[str]:
        if len(self._sources) == 1 and isinstance(self._sources[0], Run):
            return [*lines_that_make(self._sources[0], model=self.session.name), "sources = [run]"]
        head = ["import ldm_lab as lab", "", f"model = lab.load({self.session.name!r})"]
        return [*head, "# sources: the runs, pictures and latents that the panel was given"]


def _trust(blend: Blend) -> str:
    """How far a blend can be trusted, in one sentence or two."""
    where = f"{blend.distance:.1f} times the usual distance of neighbours from the nearest sample"
    far = "A guess: " if blend.is_far else ""
    flat = ""
    if blend.spread < FLAT:
        flat = f" Means are flat: it varies {blend.spread:.0%} as much as its samples do, and decodes duller."
    return f"{far}{where}.{flat}"
