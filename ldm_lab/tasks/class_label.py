"""Class to image: a label and a seed for each picture."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from ldm_lab.core.config import setting
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.kinds import CLASS, require
from ldm_lab.tasks.plan import Plan, each_for_all, from_noise, guidance_away_from
from ldm_lab.tasks.settings import GuidedSettings


@dataclass(frozen=True, kw_only=True)
class ClassToImageSettings(GuidedSettings):
    """Images of a class; guidance moves away from "no class"."""

    task: ClassVar[str] = "class_to_image"

    label: int | str | None = setting(dataclasses.MISSING, help="Number or name of the class; None: no class.")

    @property
    def title(self) -> str:
        """The class."""
        return f"class {self.label}"


def class_to_image(model: LatentDiffusion, settings: ClassToImageSettings) -> Plan:
    """Make images of a class."""
    require(model, CLASS, task=settings.task)
    cond, negative = each_for_all(model.condition([settings.label, None]), len(settings.seeds))
    return Plan(
        walk=from_noise(model, settings, cond=cond, guidance=guidance_away_from(negative, settings)),
        notes=() if settings.label is not None else ("there is no class: the images are unconditional",),
    )
