"""``ldm-lab generate``: the images of any task, with everything that recreates them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from tqdm import tqdm
from tyro.conf import arg

from ldm_lab.api import load
from ldm_lab.cli.options import given, options_of
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TASKS, Pipeline, Run, Task, TaskSettings, task_named
from ldm_lab.tasks.settings import picture_fields

TEXT = "text_to_image"
FROM_THE_FIRST_STEP = {"delay": 1e-6, "mininterval": 0.0}  # a request that is refused shows a sentence and no bar


def generate(words: Sequence[str]) -> int:
    """Carry out the task that ``--task`` names, text to image without it; its settings are the options."""
    name, rest = _split_task(list(words))
    task = task_named(name)
    seeds = {} if picture_fields(task.settings) else {"seeds": (0, 1, 2, 3)}
    options = options_of(task.settings, **seeds)

    def command(
        options: Annotated[options, arg(name="")],
        *,
        model: str = task.model,
        output: Path = Path("out"),
        device: str = "auto",
    ) -> int:
        """Make images; write them with the denoising strip of the first and the settings used.

        Args:
            options: What to make.
            model: Name of a shipped model, or a checkpoint folder.
            output: Folder to write to; files of the same names are replaced.
            device: auto, cpu, cuda, mps.
        """
        settings = task.settings.of(**given(options))
        run = _carry_out(load(model, device=device), settings)
        _report(run, run.save(output))
        return 0

    prog = "ldm-lab generate" if task is task_named(TEXT) else f"ldm-lab generate --task {name}"
    return tyro.cli(command, prog=prog, args=rest, description=_description(task))


def _split_task(words: list[str]) -> tuple[str, list[str]]:
    """The value of ``--task`` and the other words."""
    for place, word in enumerate(words):
        if word == "--task":
            if place + 1 == len(words):
                raise RequestError("--task needs the name of a task after it")
            return words[place + 1], words[:place] + words[place + 2 :]
        if word.startswith("--task="):
            return word.removeprefix("--task="), words[:place] + words[place + 1 :]
    return TEXT, words


def _description(task: Task) -> str:
    return f"{task.settings.__doc__} Other tasks, by --task NAME: {', '.join(TASKS)}."


def _carry_out(pipeline: Pipeline, settings: TaskSettings) -> Run:
    total = pipeline.resolved(settings).length
    with tqdm(total=total, desc=pipeline.name, unit=" steps", **FROM_THE_FIRST_STEP) as bar:

        def on_step(step: Any) -> None:
            bar.update()

        return pipeline.carry_out(settings, on_step=on_step)


def _report(run: Run, folder: Path) -> None:
    for note in run.notes:
        print(f"note: {note}")
    count = "1 image" if len(run.images) == 1 else f"{len(run.images)} images"
    print(f"{count}, the denoising strip and the settings are in {folder.resolve()}")
