"""What people want of a model: one settings class and one function a task, and the run that comes of it."""

from ldm_lab.tasks.picture import RunImage
from ldm_lab.tasks.pipeline import Pipeline
from ldm_lab.tasks.provenance import Environment, Origin, Provenance
from ldm_lab.tasks.record import RunRecord
from ldm_lab.tasks.run import Outcome, Run
from ldm_lab.tasks.settings import TextToImageSettings
from ldm_lab.tasks.text import stream, text_to_image

__all__ = [
    "Environment",
    "Origin",
    "Outcome",
    "Pipeline",
    "Provenance",
    "Run",
    "RunImage",
    "RunRecord",
    "TextToImageSettings",
    "stream",
    "text_to_image",
]
