"""Two runs side by side: what was asked differently, and how far they went together."""

import dataclasses
from typing import Any

import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.sampling import Step
from ldm_lab.tasks import Pipeline, Run


def diff_settings(first: Run, second: Run) -> dict[str, tuple[Any, Any]]:
    """Settings in which two runs differ, each with both values; None where a task has no such setting.

    ``task`` is among them, and ``recipe`` with the edits where the runs left others.
    """
    left, right = _asked(first), _asked(second)
    pairs = {name: (left.get(name), right.get(name)) for name in left | right}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def count_common_steps(first: Run, second: Run) -> int:
    """How many steps, from the first on, are the same in both runs, bit for bit."""
    same = 0
    for one, other in zip(first.trajectory, second.trajectory, strict=False):
        if not _are_equal(one, other):
            break
        same += 1
    return same


def are_identical(first: Run, second: Run) -> bool:
    """Whether two runs took the same steps and made the same images, bit for bit."""
    count = len(first.trajectory)
    if count != len(second.trajectory) or len(first.images) != len(second.images):
        return False
    pairs = zip(first.images, second.images, strict=True)
    return count_common_steps(first, second) == count and all(one.tobytes() == two.tobytes() for one, two in pairs)


def check_made_by(run: Run, model: Pipeline) -> None:
    """Refuse to explain a run by another model than the one that made it.

    Raises:
        RequestError: Naming both.
    """
    made_by = run.provenance.model
    if made_by.digest != model.origin.digest:
        raise RequestError(
            f"the run was made by {made_by.name!r:.80}, and this session holds {model.name!r:.80}; look at it in a "
            "session of the model that made it"
        )


def _asked(run: Run) -> dict[str, Any]:
    asked = {field.name: getattr(run.settings, field.name) for field in dataclasses.fields(run.settings)}
    recipe = run.branch.recipe.edits if run.branch else ()
    return {"task": run.settings.task} | asked | {"recipe": recipe}


def _are_equal(one: Step, other: Step) -> bool:
    if one is other:
        return True
    names = ("z_t", "z_0_pred", "noise_pred", "z_next", "output")
    return one.t == other.t and all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)
