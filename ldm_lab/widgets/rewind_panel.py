"""Go back to a step of a run, edit the latent there or ask for something else, and walk on; every run is kept."""

from typing import Any, ClassVar

import ipywidgets
from PIL import Image

from ldm_lab.core.images import read_image
from ldm_lab.session import Job, RunTree, Session, are_identical, python_of_branch
from ldm_lab.session.preview import draw_latents
from ldm_lab.tasks import Branch, EditPreview, MaskPicture, Pipeline, Recipe, Run, TaskSettings, preview_edit
from ldm_lab.widgets.edit_tools import EditTools
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.mask_pad import MaskPad
from ldm_lab.widgets.panel import Panel
from ldm_lab.widgets.pictures import CompareSlider, FrameView, Scrubber
from ldm_lab.widgets.run_tree_view import RunTreeView, what_changed
from ldm_lab.widgets.walk_view import WalkSheets, sheets_of
from ldm_lab.widgets.watch import Watch

CHANGEABLE = ("prompt", "negative_prompt", "label", "guidance_scale", "sampler")
DRAWING = "The steps of the run are drawn …"
WIDTH = 320  # of pictures, in pixels on the screen


class RewindPanel(Panel):
    """Choose a run and a step, edit its latent with brush and tools, change what is asked, walk on from there.

    A run that is left without an edit or a change is a replay: its images are the same, bit for bit, which is checked.

    Attributes:
        tree: All runs, each with the one that it left.
        chosen: The run that is looked at.
        tools: The edits.
        pad: The latent at the step, and the brush that chooses a region of it.
        changes: What is asked from the step on.
    """

    title: ClassVar[str] = "Rewind & Edit"

    def __init__(self, session: Session, run: Run, *, tree: RunTree | None = None, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: Of the model that made the run.
            run: To begin with.
            tree: Where runs are kept; None: a new one.
            name: See ``Panel``.

        Raises:
            RequestError: If the run cannot be left.
        """
        Branch(parent=run, step=0)
        super().__init__(session, name=name)
        self.tree = RunTree() if tree is None else tree
        self.tree.add(run)
        self.chosen = self.result = run
        self._kept: tuple[int, ...] = (0,)  # steps that the scrubber shows
        self._build_views()
        self._build_buttons()
        self.tools = EditTools(lambda: self.tree.runs, self._region, guarded=self.guarded)
        self.changes = SettingsForm(run.settings, fields=[name for name in CHANGEABLE if hasattr(run.settings, name)])
        self._observe()
        self._arrange()
        self.choose(run)

    @property
    def step(self) -> int:
        """Place in the trajectory where the run is left."""
        return self._kept[min(self.scrubber.index, len(self._kept) - 1)]

    @property
    def branch(self) -> Branch:
        """Where the chosen run is left, and the edits."""
        return Branch(parent=self.chosen, step=self.step, recipe=self.tools.recipe)

    @property
    def settings(self) -> TaskSettings:
        """What is asked from the step on."""
        return self.changes.read()

    @property
    def image(self) -> int:
        """Which image is shown and edited, counted from 0."""
        return self._image.value or 0

    def choose(self, run: Run) -> None:
        """Look at a run of the tree; edits and changes begin anew."""
        self.chosen, self._kept = run, tuple(range(len(run.trajectory)))
        self.tools.set(Recipe())
        self.changes.show(run.settings)
        count = len(run.settings.image_names)
        if len(self._image.options) != count:
            self._image.options = [(f"Image {index}", index) for index in range(count)]
        self._image.layout.display = None if count > 1 else "none"
        self._draw_run()

    def go_to(self, step: int) -> None:
        """Choose a step of the run, counted from 0; of a long one, the nearest that is shown."""
        self.scrubber.index = min(range(len(self._kept)), key=lambda place: abs(self._kept[place] - step))

    def add_edit(self) -> None:
        """Add what the tool's form says to the recipe, in the region that is painted; none painted: everywhere."""
        self.tools.add()

    def walk_on(self) -> Job:
        """Leave the chosen run at the step."""
        parent, branch = self.chosen, self.branch
        watch = Watch(
            status=self.status,
            on_frame=self.coming.paint,
            on_value=lambda child: self._take(parent, child),
            on_end=lambda: self._set_running(False),
        )
        job = self.submit(self.settings, watch, branch=branch)
        self._set_running(True)
        return job

    def stop(self) -> None:
        """End the walk within one step; what is there becomes a partial run."""
        for job in self.pending:
            job.stop()

    def code(self) -> str:
        """The chosen run and all that it comes from; then what walking on would do."""
        return python_of_branch(self.settings, self.branch, model=self.session.name)

    def picture(self) -> Image.Image | None:
        """The chosen run."""
        return self.chosen.grid()

    def _take(self, parent: Run, child: Run) -> None:
        """Put a new run into the tree, and say whether a replay was one."""
        is_replay = not child.branch.recipe and child.settings == parent.settings and not child.partial
        self.tree.add(child)
        self.coming.settle(child.outcome.images[self.image], alt=what_changed(child))
        self.choose(child)
        self.announce(child)
        if is_replay and are_identical(parent, child):
            self.status.say("Replay without an edit: identical to the run that it left, bit for bit.", kind="done")
        elif is_replay:
            self.status.say("The replay differs from the run that it left; please report it.", kind="error")

    def _draw_run(self) -> None:
        """Everything that depends on the run and the image, not on the step."""
        run, image = self.chosen, self.image
        self.tree_view.show_tree(self.tree, image=image)
        self.tree_view.chosen = next(place for place, other in enumerate(self.tree.runs) if other is run)
        self._compare(run, image)
        steps = run.trajectory
        self.call(lambda model: sheets_of(model, steps, image=image), self._show_walk)

    def _show_walk(self, walk: WalkSheets) -> None:
        self._kept = next(iter(walk.sheets.values())).indices
        self.scrubber.show(walk.sheets, walk.labels)
        self._preview()

    def _compare(self, run: Run, image: int) -> None:
        if run.branch is None:
            return
        place = next(place for place, other in enumerate(self.tree.runs) if other is run.branch.parent)
        self.compare.before_name = f"Run {place}"
        self.compare.after_name = f"Run {self.tree_view.chosen}"
        self.compare.compare(run.branch.parent.outcome.images[image], run.outcome.images[image])

    def _preview(self) -> None:
        """Draw the latent at the step as the recipe makes it, and warn of what the network never saw."""
        branch, image = self.branch, self.image
        count = len(self.chosen.settings.image_names)
        self.tools.look_at(step=self.step, num_steps=len(self.chosen.trajectory), image=image if count > 1 else None)
        self._place.value = f"<b>Leave run {self.tree_view.chosen} at step {self.step}</b>"

        def draw(model: Pipeline) -> tuple[EditPreview, Image.Image]:
            preview = preview_edit(branch)
            return preview, draw_latents(model.model, preview.after[image : image + 1])[0]

        self.call(draw, lambda drawn: self._show_preview(*drawn))

    def _show_preview(self, preview: EditPreview, picture: Image.Image) -> None:
        mask = self.pad.mask
        if mask is None or mask.size != picture.size:
            mask = MaskPicture.from_image(Image.new("L", picture.size))
        self.pad.show_picture(picture, mask)
        self._warning.value = "<br/>".join(f"⚠ {warning}" for warning in preview.warnings)
        self._warning_row.layout.display = None if preview.warnings else "none"

    def _region(self) -> MaskPicture | None:
        mask = self.pad.mask
        return mask if mask is not None and mask.image.getbbox() else None

    def _open_mask(self, data: bytes) -> None:
        mask = MaskPicture.of(read_image(data).convert("L"))
        self.pad.show_mask(mask.fitted(*self.pad.mask.size))

    def _set_running(self, is_running: bool) -> None:
        self._stop.disabled, self._walk.disabled = not is_running, is_running

    def _choose_number(self, number: int) -> None:
        if 0 <= number < len(self.tree.runs) and self.tree.runs[number] is not self.chosen:
            self.choose(self.tree.runs[number])

    def _build_views(self) -> None:
        self.tree_view = RunTreeView(label="Runs, each under the one that it left")
        self.scrubber = Scrubber(label="Step where the run is left", reports=True, width=WIDTH, placeholder=DRAWING)
        self.pad = MaskPad(label="Cells of the latent that change", width=WIDTH, on_file=self.guarded(self._open_mask))
        self.coming = FrameView(width=WIDTH, placeholder="Walk on: the new run comes out here.")
        self.compare = CompareSlider(width=WIDTH, placeholder="Run and branch are compared here.")
        self._place, self._warning = ipywidgets.HTML(), ipywidgets.HTML()

    def _build_buttons(self) -> None:
        self._image = ipywidgets.Dropdown(
            options=[("Image 0", 0)], tooltip="Which image of the run", layout={"width": "auto", "display": "none"}
        )
        self._walk = ipywidgets.Button(
            description="Walk on from here", icon="play", button_style="primary", layout={"width": "auto"}
        )
        self._stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, tooltip="Ends within one step.")
        self._renormalise = ipywidgets.Button(
            description="Renormalise", icon="balance-scale", button_style="warning", layout={"align_self": "flex-start"}
        )
        self._warning_row = ipywidgets.VBox([self._warning, self._renormalise], layout={"display": "none"})
        self._warning_row.add_class("ldm-warning")

    def _observe(self) -> None:
        for button, does in (
            (self._walk, self.walk_on),
            (self._stop, self.stop),
            (self._renormalise, self.tools.renormalise),
            (self.tools.add_button, self.add_edit),
        ):
            button.on_click(self._clicked(does))
        self.tools.observe(self.guarded(self._preview))
        self.scrubber.observe(self.guarded(lambda _: self._preview()), "index")
        self.tree_view.observe(self.guarded(lambda change: self._choose_number(change.new)), "chosen")
        self._image.observe(self.guarded(lambda _: self._draw_run()), "value")

    def _clicked(self, does: Any) -> Any:
        return self.guarded(lambda _: does())

    def _arrange(self) -> None:
        heading = "Everything that is asked from here on"
        when = ipywidgets.VBox([self._image, self.scrubber], layout=_column(WIDTH))
        edits = ipywidgets.VBox([self._place, self.tools.widget, self._warning_row], layout=_column(WIDTH, grow=1))
        asked = ipywidgets.VBox(
            [ipywidgets.HTML(f"<b>{heading}</b>"), self.changes.widget], layout=_column(WIDTH, grow=1)
        )
        tree = ipywidgets.VBox([ipywidgets.HTML("<b>Runs</b>"), self.tree_view], layout=_column(240, grow=1))
        pad = ipywidgets.VBox([ipywidgets.HTML("<b>Its latent, edited</b>"), self.pad], layout=_column(WIDTH))
        buttons = ipywidgets.HBox([self._walk, self._stop], layout={"flex_flow": "row wrap"})
        results = [ipywidgets.VBox([view], layout=_column(WIDTH)) for view in (self.coming, self.compare)]
        self.lay_out(_row(tree, when, pad), _row(edits, asked), buttons, _row(*results))


def _column(width: int, *, grow: int = 0) -> dict[str, str]:
    return {"flex": f"{grow} 1 {width}px", "min_width": "14em"}


def _row(*columns: ipywidgets.Widget) -> ipywidgets.HBox:
    return ipywidgets.HBox(
        columns, layout={"flex_flow": "row wrap", "grid_gap": "12px 24px", "align_items": "flex-start"}
    )
