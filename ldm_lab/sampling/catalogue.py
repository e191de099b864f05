"""The samplers by name: diffusers' schedulers with the settings that latent models need.

What the settings have in common, and why:

* Latents are not bounded by 1, so nothing is clipped or thresholded. (diffusers' DDPM and DDIM clip by default.)
* The walk begins with the noisiest step ("trailing") and is exact for every number of steps; see ``Respaced``.
* It ends at z_0. LDM's own DDIM and PLMS stop at abar_0 instead (``set_alpha_to_one=False``, ``steps_offset=1``,
  "leading"); to repeat those, hand a scheduler with these settings to ``sample_steps`` instead of a named one.
* The table abar comes from our schedule, so that cosine and zero terminal SNR work in all of them.
* Where z_0 must be found by dividing by almost no signal, the walk begins a little later; see ``_usable_steps``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ldm_lab.core.errors import ConfigError
from ldm_lab.diffusion import NoiseSchedule, Prediction, ScheduleConfig, check_prediction
from ldm_lab.sampling.light_import import load_lightly
from ldm_lab.sampling.respacing import Respaced
from ldm_lab.sampling.scheduler import PREDICTION_TYPES, Scheduler


def _import_diffusers() -> Any:
    import diffusers

    return diffusers


diffusers = load_lightly(_import_diffusers)

Build = Callable[[dict[str, Any], Tensor], Scheduler]

BETA_SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
SMALLEST_HALF_LOG_SNR = -5.1  # of log(signal rate / noise rate); DPM-Solver's code clips there, for cosine schedules


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampler:
    """An entry of the catalogue.

    Attributes:
        build: (common settings of diffusers' schedulers, abar of the usable steps) -> the scheduler.
        help: One sentence for the tooltip.
        stochastic: Whether it draws noise on the way; if so, more steps give another picture, not a better solution.
        takes: Predictions that the scheduler takes as they are; others are converted to the first of them.
        needs_signal: Whether it breaks down as the signal vanishes, whatever the model predicts.
    """

    build: Build
    help: str
    stochastic: bool = False
    takes: tuple[Prediction, ...] = ("eps", "z_0", "v")
    needs_signal: bool = False


def _respaced(class_name: str, **settings: Any) -> Build:
    """A builder; the class is looked up when it is used, because some of them take diffusers seconds to import."""

    def build(common: dict[str, Any], alphas_cumprod: Tensor) -> Scheduler:
        scheduler_class = load_lightly(lambda: getattr(diffusers, class_name))
        scheduler = scheduler_class(**common, timestep_spacing="trailing", **settings)
        return Respaced(scheduler, alphas_cumprod=alphas_cumprod)

    return build


def _lcm(common: dict[str, Any], alphas_cumprod: Tensor) -> Scheduler:
    """LCM weighs its input by t itself and spaces its steps well: 999, 749, 499, 249 for four.

    They are a subset of ``original_inference_steps`` steps, hence all usable ones here; a model distilled on 50 steps
    wants a scheduler of its own with 50.
    """
    scheduler: Any = diffusers.LCMScheduler(**common, original_inference_steps=len(alphas_cumprod))
    scheduler.alphas_cumprod = alphas_cumprod
    return scheduler


SAMPLERS: dict[str, Sampler] = {
    "ddpm": Sampler(
        build=_respaced("DDPMScheduler", clip_sample=False, variance_type="fixed_small"),
        help="Ancestral sampling as trained (Ho et al. 2020); noise in every step, best with many.",
        stochastic=True,
    ),
    "ddim": Sampler(
        build=_respaced("DDIMScheduler", clip_sample=False, set_alpha_to_one=True),
        help="First-order walk without noise (Song et al. 2021); the reference for inversion and editing.",
    ),
    "plms": Sampler(
        build=_respaced("PNDMScheduler", skip_prk_steps=True, set_alpha_to_one=True),
        help="Fourth-order multistep (Liu et al. 2022), LDM's sampler; one evaluation more, from 10 steps on.",
        takes=("eps",),  # diffusers also takes v, but then extrapolates v, whose meaning changes with t
        needs_signal=True,
    ),
    "dpm++2m": Sampler(
        build=_respaced("DPMSolverMultistepScheduler", solver_order=2, algorithm_type="dpmsolver++"),
        help="Second-order multistep (Lu et al. 2022); a good picture in 15 to 25 steps.",
    ),
    "dpm++2m-sde": Sampler(
        build=_respaced("DPMSolverMultistepScheduler", solver_order=2, algorithm_type="sde-dpmsolver++"),
        help="DPM-Solver++ with noise in every step; more texture, more steps.",
        stochastic=True,
    ),
    "unipc": Sampler(
        build=_respaced("UniPCMultistepScheduler", solver_order=2),
        help="Predictor and corrector (Zhao et al. 2023); the best for 5 to 15 steps.",
    ),
    "euler": Sampler(
        build=_respaced("EulerDiscreteScheduler"),
        help="Euler's method in the noise level (Karras et al. 2022); simple and robust.",
    ),
    "euler-a": Sampler(
        build=_respaced("EulerAncestralDiscreteScheduler"),
        help="Euler's method with fresh noise in every step.",
        stochastic=True,
        takes=("v", "eps"),
        needs_signal=True,  # NaN in fp32 where the noise level falls 5,000-fold in one step
    ),
    "heun": Sampler(
        build=_respaced("HeunDiscreteScheduler"),
        help="Second-order Heun (Karras et al. 2022, algorithm 1); two evaluations a step.",
        needs_signal=True,
    ),
    "lms": Sampler(
        build=_respaced("LMSDiscreteScheduler"),
        help="Linear multistep of order four in the noise level.",
    ),
    "lcm": Sampler(
        build=_lcm,
        help="Latent consistency (Luo et al. 2023): predict z_0, add noise again; for distilled models, 1 to 8 steps.",
        stochastic=True,
    ),
}


def make_scheduler(name: str, schedule: ScheduleConfig, prediction: Prediction) -> Scheduler:
    """Build a scheduler of the catalogue for a model.

    Args:
        name: Key of ``SAMPLERS``.
        schedule: The schedule that the model was trained with.
        prediction: What the model's output means.

    Raises:
        ConfigError: If the name is unknown, or the prediction is eps under zero terminal SNR.
    """
    sampler = SAMPLERS.get(name)
    if sampler is None:
        raise ConfigError(f"sampler is {name!r}; choose one of {', '.join(SAMPLERS)}")
    check_prediction(schedule, prediction)
    common = {
        "num_train_timesteps": schedule.num_train_steps,
        "beta_schedule": BETA_SCHEDULES[schedule.kind],
        "beta_start": schedule.beta_start,
        "beta_end": schedule.beta_end,
        "prediction_type": PREDICTION_TYPES[prediction if prediction in sampler.takes else sampler.takes[0]],
    }
    tables = NoiseSchedule(schedule)
    divides_by_signal = sampler.needs_signal or prediction == "eps"
    usable = _usable_steps(tables) if divides_by_signal else len(tables)
    alphas_cumprod = (1.0 - _betas_with_signal(tables).float()).cumprod(0)  # in fp32, as diffusers computes it
    return sampler.build(common, alphas_cumprod[:usable])


def _usable_steps(schedule: NoiseSchedule) -> int:
    """Number of steps, from the cleanest on, whose z_t still holds signal to divide by.

    z_0 = (z_t - sqrt(1 - abar) eps) / sqrt(abar). At the end of the cosine schedule abar is 2.4e-9, and an error of 1 %
    in eps becomes one of 200 in z_0. The scaled-linear schedules of LDM and Stable Diffusion keep all their steps.
    """
    half_log_snr = 0.5 * schedule.snr(torch.arange(len(schedule))).log()
    return max(1, int((half_log_snr >= SMALLEST_HALF_LOG_SNR).sum()))


def _betas_with_signal(schedule: NoiseSchedule) -> Tensor:
    """The schedule's betas, but with a trace of signal in a last step that has none.

    Most schedulers divide by abar_T. diffusers puts 2^-24 in place of 0. With LDM's betas the step before it holds less
    (1.4e-8): the noise would grow on the way down and Euler's ancestral step be NaN. There, take half of what it holds.
    """
    if not schedule.config.zero_terminal_snr:
        return schedule.betas
    before_last = schedule.alphas_cumprod[-2]
    last_alpha = (before_last / 2).clamp(max=2.0**-24) / before_last
    return torch.cat([schedule.betas[:-1], (1.0 - last_alpha).reshape(1)])
