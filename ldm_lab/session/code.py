"""The Python that makes a run again: what the panels and the web page show, so that a click becomes a line to learn."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ldm_lab.core.layout import LayoutObject
from ldm_lab.tasks import LatentEdit, Picture, Run, TaskSettings

MAX_LINE = 100  # letters; a longer call has a line for each setting


def python_of(settings: TaskSettings, *, model: str) -> str:
    """Lines for a notebook that carry the settings out; what is left at its default is left out.

    Pictures are named as files, because they are too long for a line of code: the one of ``image`` is ``"image.png"``.

    Args:
        settings: Of any task.
        model: What ``lab.load`` takes: a shipped name or a folder.
    """
    call = spell_call(f"model.{settings.task}", given_values(settings))
    return f"import ldm_lab as lab\n\nmodel = lab.load({model!r})\nrun = {call}\nrun"


def lines_that_make(run: Run, *, model: str, name: str = "run") -> list[str]:
    """Lines that define ``model`` and a run that is at hand, to go on from there.

    One that left another run, or was stopped, is opened from an image of it, which carries all that.

    Args:
        run: The run.
        model: What ``lab.load`` takes: a shipped name or a folder.
        name: What the run shall be called.
    """
    begin = ["import ldm_lab as lab", "", f"model = lab.load({model!r})"]
    if run.branch is None and not run.partial:
        return [*begin, f"{name} = {spell_call(f'model.{run.settings.task}', given_values(run.settings))}"]
    return [
        *begin,
        f'{name} = lab.open_run("{name}.png", model=model)  # written by {name}.images[0].save("{name}.png")',
    ]


def given_values(settings: TaskSettings | LatentEdit) -> dict[str, Any]:
    """What differs from the class's own defaults, and the seeds; required settings first."""
    fields = sorted(dataclasses.fields(settings), key=lambda field: field.default is not dataclasses.MISSING)
    values = {field.name: (getattr(settings, field.name), field.default) for field in fields}
    return {name: value for name, (value, default) in values.items() if value != default or name == "seeds"}


def spell_call(function: str, values: Mapping[str, Any]) -> str:
    """A call with keyword arguments, on one line or, if that is long, on one for each argument."""
    arguments = [f"{name}={_spell(name, value)}" for name, value in values.items()]
    call = f"{function}({', '.join(arguments)})"
    if len(call) <= MAX_LINE:
        return call
    return "\n".join([f"{function}(", *(f"    {argument}," for argument in arguments), ")"])


def _spell(name: str, value: Any) -> str:
    if isinstance(value, Picture):
        return repr(f"{name}.png")
    if isinstance(value, LayoutObject):
        return repr(" ".join([*value.names, *map(str, value.box)]))
    if isinstance(value, tuple):
        return f"[{', '.join(_spell(name, item) for item in value)}]"
    return repr(value)
