import diffusers
import pytest
import torch

from ldm_lab.diffusion import ScheduleConfig
from ldm_lab.sampling import SAMPLERS, make_scheduler
from ldm_lab.sampling.respacing import trailing_timesteps

RESPACED = [name for name in SAMPLERS if name != "lcm"]


@pytest.mark.parametrize("num_usable_steps", [7, 100, 996, 1000])
def test_every_count_has_that_many_steps_from_the_noisiest_to_a_clean_one(num_usable_steps):
    for num_steps in range(1, num_usable_steps + 1):
        timesteps = trailing_timesteps(num_usable_steps, num_steps)
        assert len(timesteps) == num_steps
        assert timesteps[0] == num_usable_steps - 1
        assert timesteps[-1] >= 0
        gaps = -timesteps.diff()
        assert num_steps == 1 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)


def test_diffusers_own_trailing_spacing_leaves_the_schedule():
    """The reason for not using it: when this fails, diffusers has mended it."""
    scheduler = diffusers.EulerDiscreteScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(61)
    assert len(scheduler.timesteps) == 62
    assert scheduler.timesteps[-1] == -1


@pytest.mark.parametrize("num_steps", [1, 5, 16, 20, 50, 80, 250, 1000])
def test_where_diffusers_spaces_well_we_visit_the_same_steps(num_steps):
    scheduler = diffusers.DDPMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(num_steps)
    assert torch.equal(trailing_timesteps(1000, num_steps), scheduler.timesteps)


@pytest.mark.parametrize("name", RESPACED)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 61, 600, 999, 1000])
def test_every_scheduler_visits_exactly_the_steps_asked_for(name, num_steps):
    scheduler = make_scheduler(name, ScheduleConfig(), "eps")
    scheduler.set_timesteps(num_steps)
    assert torch.equal(scheduler.timesteps.unique().flip(0), trailing_timesteps(1000, num_steps))
    evaluations = {"heun": 2 * num_steps - 1, "plms": num_steps + (num_steps > 1)}
    assert len(scheduler.timesteps) == evaluations.get(name, num_steps)


@pytest.mark.parametrize("name", RESPACED)
def test_noise_levels_are_those_of_the_schedule(name):
    """Each scheduler's own tables must belong to the steps visited: this is what a wrong stride would break."""
    scheduler = make_scheduler(name, ScheduleConfig(), "eps")
    scheduler.set_timesteps(30)  # does not divide 1000
    abar = diffusers.DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195).alphas_cumprod[
        scheduler.timesteps
    ]
    torch.testing.assert_close(scheduler.sigmas[:-1].float(), ((1 - abar) / abar).sqrt(), rtol=1e-4, atol=0)
    assert scheduler.sigmas[-1] == 0
    if name in ("euler", "euler-a", "heun", "lms", "dpm++2m", "unipc"):
        torch.testing.assert_close(scheduler._inner.sigmas[:-1], scheduler.sigmas[:-1].float(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", RESPACED)
@pytest.mark.parametrize("begin", [1, 2, 5])
def test_beginning_inside_leaves_the_rest_of_the_walk(name, begin):
    scheduler = make_scheduler(name, ScheduleConfig(), "eps")
    scheduler.set_timesteps(10)
    planned = scheduler.timesteps
    scheduler.set_begin_index(begin)
    assert torch.equal(scheduler.timesteps[:begin], planned[:begin])
    assert torch.equal(scheduler.timesteps[begin:].unique(), planned[begin:].unique())


def test_the_schedulers_config_is_shown_as_it_was_made():
    scheduler = make_scheduler("ddim", ScheduleConfig(), "v")
    scheduler.set_timesteps(20)
    assert scheduler.config.num_train_timesteps == 1000
    assert scheduler.config.clip_sample is False
    assert scheduler.config.prediction_type == "v_prediction"
