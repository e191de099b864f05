"""One judge for each kind of model: which images it has to make, and how they are measured."""

from collections.abc import Callable, Iterator

from ldm_lab.core.errors import RequestError
from ldm_lab.evaluation.judges.class_label import judge_classes
from ldm_lab.evaluation.judges.layout import judge_layouts
from ldm_lab.evaluation.judges.masked import judge_masked
from ldm_lab.evaluation.judges.semantic import judge_maps
from ldm_lab.evaluation.judges.super_resolution import judge_super_resolution
from ldm_lab.evaluation.judges.unconditional import judge_unconditional
from ldm_lab.evaluation.trial import Trial
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.kinds import CLASS, LAYOUT, LOW_RESOLUTION, MASKED, SEMANTIC, UNCONDITIONAL, Kind, kind_of
from ldm_lab.tasks.settings import GuidedSettings

Judge = Callable[[Pipeline, int, GuidedSettings], Iterator[Trial]]

JUDGES: dict[Kind, Judge] = {
    UNCONDITIONAL: judge_unconditional,
    CLASS: judge_classes,
    LAYOUT: judge_layouts,
    SEMANTIC: judge_maps,
    LOW_RESOLUTION: judge_super_resolution,
    MASKED: judge_masked,
}


def judge_of(model: LatentDiffusion) -> Judge:
    """Who judges models of this kind on the built-in scenes.

    Raises:
        RequestError: If it is none of these kinds.
    """
    kind = kind_of(model)
    if kind not in JUDGES:
        accepted = ", ".join(each.words for each in JUDGES)
        raise RequestError(f"the model is {kind.words}; the judges of tasks take models that are {accepted}")
    return JUDGES[kind]
