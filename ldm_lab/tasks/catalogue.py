"""The tasks by name: what the command line, the records, the panels and the web page know of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ldm_lab.core.errors import RequestError
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.blend import BlendSettings, blend
from ldm_lab.tasks.class_label import ClassToImageSettings, class_to_image
from ldm_lab.tasks.image_guiding import ImageGuidingSettings, image_guiding
from ldm_lab.tasks.image_to_image import ImageToImageSettings, image_to_image
from ldm_lab.tasks.inpainting import InpaintingSettings, inpainting
from ldm_lab.tasks.interpolation import InterpolationSettings, interpolation
from ldm_lab.tasks.inversion import InversionSettings, inversion
from ldm_lab.tasks.kinds import CLASS, LAYOUT, LOW_RESOLUTION, MASKED, SEMANTIC, TEXT, UNCONDITIONAL
from ldm_lab.tasks.large import LargeImageSettings, large_image
from ldm_lab.tasks.layout import LayoutToImageSettings, layout_to_image
from ldm_lab.tasks.outpainting import OutpaintingSettings, outpainting
from ldm_lab.tasks.plan import Plan
from ldm_lab.tasks.semantic import SemanticToImageSettings, semantic_to_image
from ldm_lab.tasks.settings import TaskSettings
from ldm_lab.tasks.super_resolution import SuperResolutionSettings, super_resolution
from ldm_lab.tasks.text import TextToImageSettings, text_to_image
from ldm_lab.tasks.unconditional import UnconditionalSettings, unconditional
from ldm_lab.tasks.variation import VariationSettings, variation


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
        Task(UnconditionalSettings, unconditional, UNCONDITIONAL.shipped, "model.unconditional(seeds=[0, 1])"),
        Task(ClassToImageSettings, class_to_image, CLASS.shipped, 'model.class_to_image("star")'),
        Task(TextToImageSettings, text_to_image, TEXT.shipped, 'model.text_to_image("a red circle")'),
        Task(
            LayoutToImageSettings, layout_to_image, LAYOUT.shipped, 'model.layout_to_image("star red 0.1 0.1 0.5 0.5")'
        ),
        Task(SemanticToImageSettings, semantic_to_image, SEMANTIC.shipped, 'model.semantic_to_image("map.png")'),
        Task(SuperResolutionSettings, super_resolution, LOW_RESOLUTION.shipped, 'model.super_resolution("small.png")'),
        Task(InpaintingSettings, inpainting, MASKED.shipped, 'model.inpainting("in.png", "mask.png")'),
        Task(OutpaintingSettings, outpainting, MASKED.shipped, 'model.outpainting("in.png", right=32)'),
        Task(
            ImageToImageSettings, image_to_image, TEXT.shipped, 'model.image_to_image("in.png", prompt="a blue star")'
        ),
        Task(VariationSettings, variation, TEXT.shipped, 'model.variation(of_seed=7, prompt="a star", seeds=[1, 2])'),
        Task(InterpolationSettings, interpolation, TEXT.shipped, 'model.interpolation(prompt="a star", seeds=[3, 4])'),
        Task(BlendSettings, blend, TEXT.shipped, 'model.blend(prompt="a star", seeds=[3, 4], across=0.5)'),
        Task(InversionSettings, inversion, TEXT.shipped, 'model.inversion("in.png", prompt="a red circle")'),
        Task(ImageGuidingSettings, image_guiding, UNCONDITIONAL.shipped, 'model.image_guiding("small.png")'),
        Task(LargeImageSettings, large_image, UNCONDITIONAL.shipped, "model.large_image(width=256, height=128)"),
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
