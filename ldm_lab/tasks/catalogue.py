"""The tasks by name: what the command line, the records, the panels and the web page know of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ldm_lab.core.errors import RequestError
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.class_label import ClassToImageSettings, class_to_image
from ldm_lab.tasks.image_to_image import ImageToImageSettings, image_to_image
from ldm_lab.tasks.inpainting import InpaintingSettings, inpainting
from ldm_lab.tasks.inversion import InversionSettings, inversion
from ldm_lab.tasks.outpainting import OutpaintingSettings, outpainting
from ldm_lab.tasks.plan import Plan
from ldm_lab.tasks.settings import TaskSettings
from ldm_lab.tasks.text import TextToImageSettings, text_to_image
from ldm_lab.tasks.unconditional import UnconditionalSettings, unconditional


@dataclass(frozen=True, slots=True)
class Task:
    """An entry of the catalogue.

    Attributes:
        settings: What may be asked.
        plan: The task itself, from a model and resolved settings to what the walk does.
        model: The shipped model that serves it.
        example: One line of Python with a loaded model that carries it out.
    """

    settings: type[TaskSettings]
    plan: Callable[[LatentDiffusion, Any], Plan]
    model: str
    example: str


TASKS: dict[str, Task] = {
    task.settings.task: task
    for task in (
        Task(UnconditionalSettings, unconditional, "shapes-uncond", "model.unconditional(seeds=[0, 1])"),
        Task(ClassToImageSettings, class_to_image, "shapes-class", 'model.class_to_image("star")'),
        Task(TextToImageSettings, text_to_image, "shapes-text", 'model.text_to_image("a red circle")'),
        Task(
            ImageToImageSettings, image_to_image, "shapes-text", 'model.image_to_image("in.png", prompt="a blue star")'
        ),
        Task(InpaintingSettings, inpainting, "shapes-inpaint", 'model.inpainting("in.png", "mask.png")'),
        Task(OutpaintingSettings, outpainting, "shapes-inpaint", 'model.outpainting("in.png", right=32)'),
        Task(InversionSettings, inversion, "shapes-text", 'model.inversion("in.png", prompt="a red circle")'),
    )
}


def task_named(name: object) -> Task:
    """The entry of that name, in which hyphens count as underscores.

    Raises:
        RequestError: If there is none; the message lists the names.
    """
    key = name.replace("-", "_") if isinstance(name, str) else None
    if key not in TASKS:
        raise RequestError(f"there is no task {name!r:.60}; choose one of {', '.join(TASKS)}")
    return TASKS[key]
