"""The tools that edit a latent: one form for each kind of edit, and the recipe that they make."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import (
    AddNoise,
    Adjust,
    Copy,
    LatentEdit,
    MaskPicture,
    Paint,
    Paste,
    PastedLatent,
    Recipe,
    Renormalise,
    Run,
    SwapChannels,
)
from ldm_lab.widgets.controls import Control
from ldm_lab.widgets.form import SettingsForm
from ldm_lab.widgets.panel import replace_children
from ldm_lab.widgets.run_tree_view import name_of

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]

COPY, PASTE = "Copy from a place or step", "Copy from another run"
TOOLS: dict[str, tuple[LatentEdit, tuple[str, ...]]] = {
    "Re-noise": (AddNoise(), ("amount", "draw", "channels")),
    COPY: (Copy(), ("rows", "columns", "from_step", "channels")),
    "Gain and shift": (Adjust(), ("gain", "shift", "channels")),
    "Set to a value": (Paint(), ("value", "channels")),
    "Swap two channels": (SwapChannels(channels=(0, 1)), ("channels",)),
    "Renormalise": (Renormalise(), ("channels",)),
}  # where each form begins, and its fields


class EditTools:
    """Choose a tool, tell it how, add the edit; take edits back.

    Attributes:
        widget: What is on the screen.
        recipe: The edits so far.
    """

    def __init__(
        self, runs: Callable[[], Sequence[Run]], region: Callable[[], MaskPicture | None], *, guarded: Guard
    ) -> None:
        """Make the tools.

        Args:
            runs: Those that can be copied from.
            region: The cells that are chosen; None: all.
            guarded: Turns what a callback raises into the panel's status.
        """
        self.recipe = Recipe()
        self.step, self.num_steps, self.image = 0, 1, None
        self._runs, self._region = runs, region
        self._listeners: list[Callable[[], Any]] = []
        self._tool = ipywidgets.Dropdown(
            options=[*TOOLS, PASTE],
            description="Tool",
            style={"description_width": "9.5em"},
            layout={"width": "auto"},
        )
        self._add = ipywidgets.Button(description="Add edit", icon="plus", layout={"align_self": "flex-start"})
        self._form_box, self._list = ipywidgets.VBox(), ipywidgets.VBox()
        self._tool.observe(guarded(lambda _: self._show_form()), "value")
        self.widget = ipywidgets.VBox([self._tool, self._form_box, self._add, self._list])
        self._show_form()
        self._show_recipe()

    @property
    def add_button(self) -> ipywidgets.Button:
        """What adds the edit; the panel decides what happens around it."""
        return self._add

    def look_at(self, *, step: int, num_steps: int, image: int | None) -> None:
        """Say where edits will act.

        Args:
            step: Place in the trajectory.
            num_steps: How many places there are.
            image: Which image changes; None: every.
        """
        is_other = num_steps != self.num_steps
        self.step, self.num_steps, self.image = step, num_steps, image
        if is_other and self._tool.value == COPY:
            self._show_form()

    def observe(self, callback: Callable[[], Any]) -> None:
        """Call it whenever the recipe changes."""
        self._listeners.append(callback)

    def add(self) -> None:
        """Add the edit that the form says, in the region that is chosen.

        Raises:
            RequestError: If the edit is not accepted.
        """
        edit = dataclasses.replace(self._form.read(), region=self._region(), image=self.image)
        self.set(Recipe((*self.recipe.edits, edit)))

    def renormalise(self) -> None:
        """Add what brings the spread of the latents back."""
        self.set(Recipe((*self.recipe.edits, Renormalise(image=self.image))))

    def set(self, recipe: Recipe) -> None:
        """Replace the edits."""
        self.recipe = recipe
        self._show_recipe()
        for listener in list(self._listeners):
            listener()

    def _show_form(self) -> None:
        self._form = self._make_form(self._tool.value)
        replace_children(self._form_box, [self._form.widget])

    def _make_form(self, tool: str) -> SettingsForm[LatentEdit]:
        if tool == PASTE:
            return self._paste_form()
        start, fields = TOOLS[tool]
        return SettingsForm(start, fields=fields, choices={"from_step": range(self.num_steps)} if tool == COPY else {})

    def _paste_form(self) -> SettingsForm[Paste]:
        runs = list(self._runs())
        choice = ipywidgets.Dropdown(
            options=[(f"Run {number}", number) for number in range(len(runs))],
            value=len(runs) - 1,
            description="From",
            tooltip="Its z_t at the same step.",
            style={"description_width": "9.5em"},
            layout={"width": "auto"},
        )

        def read(number: int) -> PastedLatent:
            steps = runs[number].trajectory
            if self.step >= len(steps):
                raise RequestError(f"run {number} has the steps 0 to {len(steps) - 1}, and not step {self.step}")
            return PastedLatent.of(steps[self.step].z_t)

        control = Control(choice, read=read, show=lambda _: choice.value)
        start = Paste(latent=read(len(runs) - 1))
        return SettingsForm(start, fields=("latent", "channels"), controls={"latent": control})

    def _show_recipe(self) -> None:
        rows = [self._row(number, edit) for number, edit in enumerate(self.recipe.edits)]
        replace_children(self._list, rows or [ipywidgets.HTML('<span class="ldm-note">No edit yet: a replay.</span>')])

    def _row(self, number: int, edit: LatentEdit) -> ipywidgets.HBox:
        words = ipywidgets.HTML(f"{number + 1}. {name_of(edit)}")
        remove = ipywidgets.Button(description="✕", tooltip=f"Take edit {number + 1} back", layout={"width": "2.6em"})
        rest = [other for place, other in enumerate(self.recipe.edits) if place != number]
        remove.on_click(lambda _: self.set(Recipe(tuple(rest))))
        return ipywidgets.HBox([words, remove], layout={"justify_content": "space-between"})
