"""What a scheduler is here: any object that speaks the diffusers protocol, and how the walk reads it."""

import copy
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from ldm_lab.core.errors import ConfigError, LdmLabError
from ldm_lab.diffusion import NoiseSchedule, Prediction

PREDICTION_TYPES: dict[Prediction, str] = {"eps": "epsilon", "z_0": "sample", "v": "v_prediction"}


class Scheduler(Protocol):
    """The part of diffusers' scheduler protocol that the walk uses.

    A scheduler may also have ``set_begin_index(index)``, to start inside its walk; ``sigmas``, the noise levels that it
    visits and one more at the end; and a ``step`` that takes ``generator``, if it draws noise.

    Attributes:
        config: Settings; ``config.prediction_type`` says what kind of model output ``step`` expects.
        timesteps: Steps visited, noisiest first; there may be more than were asked for. (S,)
        init_noise_sigma: Factor that turns standard normal noise into the first sample.
    """

    config: Any
    timesteps: Tensor

    @property
    def init_noise_sigma(self) -> Any: ...  # noqa: D102

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None: ...  # noqa: D102

    def scale_model_input(self, sample: Tensor, timestep: Any) -> Tensor: ...  # noqa: D102

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Any: ...  # noqa: D102


def advance(
    scheduler: Any, model_output: Tensor, t: Tensor, sample: Tensor, *, generator: list[torch.Generator] | None
) -> Any:
    """One step of any scheduler; one that draws noise draws that of image i from ``generator[i]``.

    Args:
        scheduler: Speaks the protocol.
        model_output: Of the kind that the scheduler expects. (B, C, h, w)
        t: Element of ``scheduler.timesteps``. ()
        sample: In the scheduler's coordinates. (B, C, h, w)
        generator: One for each image.

    Returns:
        What ``step`` returns; its ``prev_sample`` is the next sample. (B, C, h, w)
    """
    noise = {"generator": generator} if _draws_noise(type(scheduler).step) else {}
    return scheduler.step(model_output, t, sample, **noise)


@cache
def _draws_noise(step: Callable) -> bool:
    return "generator" in inspect.signature(step).parameters


def planned(scheduler: Scheduler, num_steps: int) -> Scheduler:
    """A copy of the scheduler that has its timesteps, on the CPU: there, looking a step up waits for no GPU.

    Raises:
        ConfigError: If the scheduler refuses the number of steps.
    """
    scheduler = copy.deepcopy(scheduler)
    try:
        scheduler.set_timesteps(num_steps, device="cpu")
    except LdmLabError:
        raise
    except ValueError as error:
        raise ConfigError(f"{type(scheduler).__name__} refuses num_steps {num_steps}: {error}") from error
    return scheduler


def begin_at(scheduler: Any, index: int) -> None:
    """Tell a planned scheduler, if it wants to know, at which position of its walk it begins."""
    set_begin_index = getattr(scheduler, "set_begin_index", None)
    if set_begin_index is not None:
        set_begin_index(index)


def visited_steps(scheduler: Scheduler, num_train_steps: int) -> Tensor:
    """The steps of the walk as integers; as floats only where the scheduler visits places between the steps.

    Returns:
        (S,)

    Raises:
        ConfigError: If a step lies outside the model's schedule.
    """
    timesteps = scheduler.timesteps
    outside = timesteps[(timesteps < 0) | (timesteps > num_train_steps - 1)]
    if len(outside):
        raise ConfigError(
            f"the scheduler visits t = {outside[0].item()}, outside the model's 0 to {num_train_steps - 1}; "
            "use another number of steps, timestep_spacing or steps_offset, or a scheduler of the catalogue"
        )
    whole = timesteps.round().long()
    return whole if bool((whole == timesteps).all()) else timesteps


def signal_and_noise_rates(scheduler: Scheduler, schedule: NoiseSchedule) -> list[tuple[float, float]]:
    """sqrt(abar) and sqrt(1 - abar) at each position of the walk.

    Schedulers that state noise levels (noise rate / signal rate) may choose them between the steps; otherwise the
    schedule's table holds.
    """
    levels = getattr(scheduler, "sigmas", None)
    if levels is not None and len(levels) == len(scheduler.timesteps) + 1:
        abar = 1.0 / (1.0 + levels[:-1].double().square())
    else:
        abar = schedule.alphas_cumprod[scheduler.timesteps.long()]
    return list(zip(abar.sqrt().tolist(), (1.0 - abar).sqrt().tolist(), strict=True))


def expected_prediction(scheduler: Scheduler) -> Prediction:
    """What kind of model output the scheduler's ``step`` takes.

    Raises:
        ConfigError: If it is none of eps, z_0 and v.
    """
    name = scheduler.config.prediction_type
    for prediction, its_name in PREDICTION_TYPES.items():
        if name == its_name:
            return prediction
    raise ConfigError(
        f"the scheduler's prediction_type is {name!r}; it must be one of {', '.join(PREDICTION_TYPES.values())}"
    )
