"""Images from noise alone."""

from dataclasses import dataclass
from typing import ClassVar

from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.kinds import UNCONDITIONAL, require
from ldm_lab.tasks.plan import Plan, from_noise
from ldm_lab.tasks.settings import TaskSettings


@dataclass(frozen=True, kw_only=True)
class UnconditionalSettings(TaskSettings):
    """Images from noise alone, of any size that the convolution allows."""

    task: ClassVar[str] = "unconditional"


def unconditional(model: LatentDiffusion, settings: UnconditionalSettings) -> Plan:
    """Make images of nothing in particular."""
    require(model, UNCONDITIONAL, task=settings.task)
    return Plan(walk=from_noise(model, settings))
