"""The reverse walk: schedulers by name, guidance, and the generator of steps."""

from ldm_lab.sampling.catalogue import SAMPLERS, Sampler, make_scheduler
from ldm_lab.sampling.editing import Edit, edit_steps
from ldm_lab.sampling.guidance import Condition, ConditionSchedule, Denoiser, Guidance, Guide, guide
from ldm_lab.sampling.masked import Resampling
from ldm_lab.sampling.scheduler import Scheduler
from ldm_lab.sampling.steps import Step, check_num_steps, check_seeds, sample_steps

__all__ = [
    "SAMPLERS",
    "Condition",
    "ConditionSchedule",
    "Denoiser",
    "Edit",
    "Guidance",
    "Guide",
    "Resampling",
    "Sampler",
    "Scheduler",
    "Step",
    "check_num_steps",
    "check_seeds",
    "edit_steps",
    "guide",
    "make_scheduler",
    "sample_steps",
]
