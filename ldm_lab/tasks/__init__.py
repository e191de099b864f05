"""What people want of a model: one settings class and one function a task, and the run that comes of it."""

from ldm_lab.tasks.blend import BlendSettings
from ldm_lab.tasks.branch import Branch, check_changes
from ldm_lab.tasks.catalogue import TASKS, Task, task_named
from ldm_lab.tasks.class_label import ClassToImageSettings
from ldm_lab.tasks.edit_preview import EditPreview, preview_edit
from ldm_lab.tasks.flow import Undertaking, carry_out, prepare, stream
from ldm_lab.tasks.image_guiding import ImageGuidingSettings
from ldm_lab.tasks.image_to_image import ImageToImageSettings
from ldm_lab.tasks.inpainting import InpaintingSettings
from ldm_lab.tasks.interpolation import InterpolationSettings
from ldm_lab.tasks.inversion import InversionSettings
from ldm_lab.tasks.large import LargeImageSettings
from ldm_lab.tasks.latent_edits import (
    AddNoise,
    Adjust,
    Copy,
    LatentEdit,
    Paint,
    Paste,
    PastedLatent,
    Recipe,
    Renormalise,
    SwapChannels,
)
from ldm_lab.tasks.layout import LayoutToImageSettings
from ldm_lab.tasks.outpainting import OutpaintingSettings
from ldm_lab.tasks.picture import RunImage
from ldm_lab.tasks.picture_input import MapPicture, MaskPicture, Picture
from ldm_lab.tasks.pipeline import Pipeline
from ldm_lab.tasks.plan import Plan
from ldm_lab.tasks.provenance import Environment, Origin, Provenance
from ldm_lab.tasks.record import BranchRecord, RunRecord
from ldm_lab.tasks.run import Outcome, Run
from ldm_lab.tasks.semantic import SemanticToImageSettings
from ldm_lab.tasks.settings import GuidedSettings, TaskSettings
from ldm_lab.tasks.super_resolution import SuperResolutionSettings
from ldm_lab.tasks.text import TextToImageSettings
from ldm_lab.tasks.trajectory import MAX_TRAJECTORY_BYTES, TrajectoryRecorder
from ldm_lab.tasks.unconditional import UnconditionalSettings
from ldm_lab.tasks.variation import VariationSettings

__all__ = [
    "MAX_TRAJECTORY_BYTES",
    "TASKS",
    "AddNoise",
    "Adjust",
    "BlendSettings",
    "Branch",
    "BranchRecord",
    "ClassToImageSettings",
    "Copy",
    "EditPreview",
    "Environment",
    "GuidedSettings",
    "ImageGuidingSettings",
    "ImageToImageSettings",
    "InpaintingSettings",
    "InterpolationSettings",
    "InversionSettings",
    "LargeImageSettings",
    "LatentEdit",
    "LayoutToImageSettings",
    "MapPicture",
    "MaskPicture",
    "Origin",
    "Outcome",
    "OutpaintingSettings",
    "Paint",
    "Paste",
    "PastedLatent",
    "Picture",
    "Pipeline",
    "Plan",
    "Provenance",
    "Recipe",
    "Renormalise",
    "Run",
    "RunImage",
    "RunRecord",
    "SemanticToImageSettings",
    "SuperResolutionSettings",
    "SwapChannels",
    "Task",
    "TaskSettings",
    "TextToImageSettings",
    "TrajectoryRecorder",
    "UnconditionalSettings",
    "Undertaking",
    "VariationSettings",
    "carry_out",
    "check_changes",
    "prepare",
    "preview_edit",
    "stream",
    "task_named",
]
