"""What people want of a model: one settings class and one function a task, and the run that comes of it."""

from ldm_lab.tasks.catalogue import TASKS, Task, task_named
from ldm_lab.tasks.class_label import ClassToImageSettings
from ldm_lab.tasks.flow import carry_out, stream
from ldm_lab.tasks.image_to_image import ImageToImageSettings
from ldm_lab.tasks.inpainting import InpaintingSettings
from ldm_lab.tasks.inversion import InversionSettings
from ldm_lab.tasks.outpainting import OutpaintingSettings
from ldm_lab.tasks.picture import RunImage
from ldm_lab.tasks.picture_input import MaskPicture, Picture
from ldm_lab.tasks.pipeline import Pipeline
from ldm_lab.tasks.plan import Plan
from ldm_lab.tasks.provenance import Environment, Origin, Provenance
from ldm_lab.tasks.record import RunRecord
from ldm_lab.tasks.run import Outcome, Run
from ldm_lab.tasks.settings import GuidedSettings, TaskSettings
from ldm_lab.tasks.text import TextToImageSettings
from ldm_lab.tasks.unconditional import UnconditionalSettings

__all__ = [
    "TASKS",
    "ClassToImageSettings",
    "Environment",
    "GuidedSettings",
    "ImageToImageSettings",
    "InpaintingSettings",
    "InversionSettings",
    "MaskPicture",
    "Origin",
    "Outcome",
    "OutpaintingSettings",
    "Picture",
    "Pipeline",
    "Plan",
    "Provenance",
    "Run",
    "RunImage",
    "RunRecord",
    "Task",
    "TaskSettings",
    "TextToImageSettings",
    "UnconditionalSettings",
    "carry_out",
    "stream",
    "task_named",
]
