"""Leaving a run at one of its steps: edit the latent there, or change what is asked, and walk on.

Without an edit the walk goes on with all that its sampler remembers, and nothing changed gives the run itself, bit for
bit. After an edit, or with another sampler, the walk begins anew at that step: what was predicted before is no longer
where the latent came from.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Continuation, Step, Walk, exact_outputs, is_exact
from ldm_lab.sampling.scheduler import planned, visited_steps
from ldm_lab.tasks.latent_edits import EditedPlace, Recipe, unnatural_spread
from ldm_lab.tasks.plan import Plan
from ldm_lab.tasks.run import Run
from ldm_lab.tasks.settings import TaskSettings

CHANGEABLE = (
    "prompt",
    "negative_prompt",
    "later_prompts",
    "label",
    "layout",
    "guidance_scale",
    "guidance_rescale",
    "guidance_interval",
    "guidance_curve",
    "guidance_box",
    "guidance_outside",
    "guide_scale",
    "sampler",
)

Planner = Callable[[LatentDiffusion, TaskSettings], Plan]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Branch:
    """Where a run leaves another one.

    Attributes:
        parent: The run that is left.
        step: Place in its trajectory, counted from 0; what it saw there, ``z_t``, is where the branch begins.
        recipe: What is done to that latent.

    Raises:
        RequestError: If there is no such step, or the trajectory lacks steps.
    """

    parent: Run
    step: int
    recipe: Recipe = Recipe()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        count = len(self.parent.trajectory)
        if not isinstance(self.step, int) or isinstance(self.step, bool) or not 0 <= self.step < count:
            raise RequestError(f"step is {self.step!r}; the run was left with {count} steps, 0 to {count - 1}")
        stride = self.parent.outcome.stride
        if stride != 1:
            raise RequestError(
                f"only one step of {stride} of the run was kept, and no other run can leave it; make it again with a "
                "larger budget for its trajectory"
            )

    @property
    def shared(self) -> tuple[Step, ...]:
        """The steps that both runs have."""
        return self.parent.trajectory[: self.step]


def branch_off(model: LatentDiffusion, settings: TaskSettings, branch: Branch, plan: Planner) -> Plan:
    """The plan of a run that leaves another one; its steps are those from there on.

    Args:
        model: The one that made the parent.
        settings: Those of the parent, of which ``CHANGEABLE`` ones may be others. Resolved.
        branch: Where it leaves, and the edit.
        plan: What plans runs that leave none.

    Raises:
        RequestError: If other settings differ, or the task's runs cannot be left.
    """
    check_changes(branch.parent.settings, settings)
    own = plan(model, settings)
    branch = _at_the_one_that_walked(branch)
    walk, position = _branched(model, settings, branch, plan, own)
    steps = (step for step in walk.steps() if step.index >= position)
    return dataclasses.replace(own, walk=None, steps=steps, notes=(*own.notes, *_spread_notes(branch, walk)))


def check_changes(before: TaskSettings, after: TaskSettings) -> None:
    """Refuse changes that a latent on its way cannot follow.

    Raises:
        RequestError: Naming the first of them.
    """
    if before.task != after.task:
        raise RequestError(f"the run is of the task {before.task}, and a branch of it cannot be of {after.task}")
    for field in dataclasses.fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new and field.name not in CHANGEABLE:
            able = ", ".join(name for name in CHANGEABLE if hasattr(before, name))
            raise RequestError(
                f"a branch cannot change {field.name} from {old!r:.60} to {new!r:.60}; it can change {able}"
            )


def _branched(
    model: LatentDiffusion, settings: TaskSettings, branch: Branch, plan: Planner, own: Plan
) -> tuple[Walk, int]:
    """The walk of a branch, and its position where the branch begins."""
    walk, earlier = _single(own, settings), _walk_of(model, branch.parent, plan)
    if _begins_anew(settings, branch):
        position = _position(walk, _left(branch))
        return dataclasses.replace(walk, start=(_edited(branch, earlier), position)), position
    position = _left(branch).index
    traced = branch.parent.trajectory[_beginning(branch.parent) : branch.step]
    outputs = exact_outputs(traced)
    guidance = Continuation(position=position, guidance=walk.guidance, earlier=earlier, outputs=outputs)
    return dataclasses.replace(walk, start=earlier.start, guidance=guidance), position


def _walk_of(model: LatentDiffusion, run: Run, plan: Planner) -> Walk:
    """The walk that ends with a run's last step."""
    own = plan(model, run.settings)
    if run.branch is None:
        return _single(own, run.settings)
    return _branched(model, run.settings, _at_the_one_that_walked(run.branch), plan, own)[0]


def _single(plan: Plan, settings: TaskSettings) -> Walk:
    if plan.walk is None:
        raise RequestError(
            f"a run of {settings.task} has several ways or none, and cannot be left on them; leave one of a task that "
            "walks once, such as text_to_image"
        )
    return plan.walk


def _at_the_one_that_walked(branch: Branch) -> Branch:
    """The same place, in the run that took the step: one of which the parent may be a branch."""
    parent = branch.parent
    while parent.branch is not None and branch.step < parent.branch.step:
        parent = parent.branch.parent
    return dataclasses.replace(branch, parent=parent)


def _begins_anew(settings: TaskSettings, branch: Branch) -> bool:
    return bool(branch.recipe) or settings.sampler != branch.parent.settings.sampler


def _beginning(run: Run) -> int:
    """Place in the trajectory where the walk began that ends with the run's last step."""
    if run.branch is None:
        return 0
    branch = _at_the_one_that_walked(run.branch)
    return branch.step if _begins_anew(run.settings, branch) else _beginning(branch.parent)


def _left(branch: Branch) -> Step:
    """The step of the parent that the branch takes anew."""
    return branch.parent.trajectory[branch.step]


def _position(walk: Walk, step: Step) -> int:
    """Where a walk visits the step's t; the last of its visits there, which begins what follows.

    Raises:
        RequestError: If it does not, or goes back on its way.
    """
    visited = visited_steps(planned(walk.scheduler, walk.num_steps), len(walk.model.schedule)).tolist()
    if any(later > earlier for earlier, later in pairwise(visited)):
        raise RequestError(
            "this walk goes back on its way (RePaint), so that it cannot be begun in its midst; make the run with "
            "num_resamplings=1, or leave it without an edit and with its own sampler"
        )
    if step.t not in visited:
        nearest = min(visited, key=lambda t: abs(t - step.t))
        raise RequestError(
            f"the run is left at t = {step.t}, where the new sampler does not stop; the nearest place is t = {nearest}"
        )
    return len(visited) - 1 - visited[::-1].index(step.t)


def _edited(branch: Branch, earlier: Walk) -> Tensor:
    """What the branch begins with, on the CPU. (B, C, h, w)"""
    place = EditedPlace(
        before=_exact_latent(branch, earlier),
        seeds=earlier.seeds,
        steps=[step.z_t for step in branch.parent.trajectory],
    )
    return branch.recipe.apply(place)


def _exact_latent(branch: Branch, earlier: Walk) -> Tensor:
    """z_t where the run is left; walked to once more if it was not kept as it was computed. (B, C, h, w)"""
    left = _left(branch)
    if is_exact(left):
        return left.z_t
    return next(step.z_t.cpu() for step in earlier.steps() if step.index == left.index)


def _spread_notes(branch: Branch, walk: Walk) -> list[str]:
    if not branch.recipe or walk.start is None:
        return []
    return unnatural_spread(_left(branch).z_t.float(), walk.start[0].float())
