"""The Python of a run and of those that it left: every edit and every change, as lines that make it again."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ldm_lab.core.config import JsonForm
from ldm_lab.session.code import given_values, spell_call
from ldm_lab.tasks import Branch, LatentEdit, Recipe, Run, TaskSettings


def python_of_run(run: Run, *, model: str) -> str:
    """Lines that make a run, and before it those that it left; a walk that was stopped stops there again.

    Args:
        run: From any session or file.
        model: What ``lab.load`` takes.
    """
    if run.branch is not None:
        return python_of_branch(run.settings, run.branch, model=model, stop=_stop_of(run))
    call = spell_call(f"model.{run.settings.task}", given_values(run.settings) | _stop_of(run))
    return f"import ldm_lab as lab\n\nmodel = lab.load({model!r})\nrun = {call}"


def python_of_branch(
    settings: TaskSettings, branch: Branch, *, model: str, stop: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Lines that make the run that a branch leaves, and then the branch, whether it was made before or not.

    Args:
        settings: Of the branch.
        branch: Where it leaves, and the edits.
        model: What ``lab.load`` takes.
        stop: How the walk is stopped, as arguments of ``carry_out``.
    """
    return f"{python_of_run(branch.parent, model=model)}\n{_leave(settings, branch, stop)}"


class _Spelled(str):
    """Python that is spelled already."""

    def __repr__(self) -> str:
        return str(self)


def _leave(asked: TaskSettings, branch: Branch, stop: Mapping[str, Any]) -> str:
    """Lines that leave the run that is called ``run``, and call the new one so."""
    changes = _changes(branch.parent.settings, asked)
    settings = spell_call("dataclasses.replace", {"run.settings": None} | changes) if changes else "run.settings"
    settings = settings.replace("run.settings=None", "run.settings")
    place = {"parent": _Spelled("run"), "step": branch.step}
    if branch.recipe:
        place["recipe"] = _spell_recipe(branch.recipe)
    call = spell_call(
        "model.carry_out",
        {"settings": _Spelled(settings), "branch": _Spelled(spell_call("Branch", place)), **stop},
    )
    imports = ["import dataclasses"] if changes else []
    return "\n".join(
        [*imports, f"from ldm_lab.tasks import {', '.join(_names_in(branch.recipe))}", "", f"run = {call}"]
    )


def _changes(before: TaskSettings, after: TaskSettings) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(after)]
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return {name: new for name, (old, new) in pairs.items() if new != old}


def _stop_of(run: Run) -> dict[str, Any]:
    if not run.partial:
        return {}
    return {"on_step": _Spelled(f"lambda step: step.index + 1 < {run.outcome.stopped_after}")}


def _spell_recipe(recipe: Recipe) -> _Spelled:
    edits = [spell_call(type(edit).__name__, _values_of(edit)) for edit in recipe.edits]
    return _Spelled(f"Recipe(({', '.join(edits)},))")


def _values_of(edit: LatentEdit) -> dict[str, Any]:
    """Its settings, spelled: regions and pasted latents are small enough for a line of code."""
    return {
        name: _Spelled(f"{type(value).__name__}.from_json({value.to_json()!r})" if _has_json(value) else repr(value))
        for name, value in given_values(edit).items()
    }


def _names_in(recipe: Recipe) -> list[str]:
    """What the lines need of ``ldm_lab.tasks``."""
    values = [value for edit in recipe.edits for value in given_values(edit).values()]
    names = {type(value).__name__ for value in [*recipe.edits, *filter(_has_json, values)]}
    return sorted({"Branch", *names, *(["Recipe"] if recipe else [])})


def _has_json(value: Any) -> bool:
    return isinstance(value, JsonForm)
