"""The reverse walk: schedulers by name, guidance, and the generator of steps."""

from ldm_lab.sampling.catalogue import SAMPLERS, Sampler, make_scheduler
from ldm_lab.sampling.continuation import Continuation, exact_outputs, is_exact
from ldm_lab.sampling.editing import Edit, edit_steps, edit_walk, steps_walked
from ldm_lab.sampling.guidance import (
    WHOLE_IMAGE,
    Condition,
    ConditionSchedule,
    Denoiser,
    Guidance,
    Guide,
    check_box,
    check_curve,
    guide,
)
from ldm_lab.sampling.image_guidance import ImageGuidance, half_squared_error
from ldm_lab.sampling.interpolation import circle, lerp, slerp, slerp_conditions, vary
from ldm_lab.sampling.inversion import invert_steps
from ldm_lab.sampling.latent_snr import Rescaled, latent_snr
from ldm_lab.sampling.masked import Resampling
from ldm_lab.sampling.patches import Patched
from ldm_lab.sampling.scheduler import Scheduler
from ldm_lab.sampling.steps import Step, Walk, check_num_steps, check_seeds, sample_steps

__all__ = [
    "SAMPLERS",
    "WHOLE_IMAGE",
    "Condition",
    "ConditionSchedule",
    "Continuation",
    "Denoiser",
    "Edit",
    "Guidance",
    "Guide",
    "ImageGuidance",
    "Patched",
    "Resampling",
    "Rescaled",
    "Sampler",
    "Scheduler",
    "Step",
    "Walk",
    "check_box",
    "check_curve",
    "check_num_steps",
    "check_seeds",
    "circle",
    "edit_steps",
    "edit_walk",
    "exact_outputs",
    "guide",
    "half_squared_error",
    "invert_steps",
    "is_exact",
    "latent_snr",
    "lerp",
    "make_scheduler",
    "sample_steps",
    "slerp",
    "slerp_conditions",
    "steps_walked",
    "vary",
]
