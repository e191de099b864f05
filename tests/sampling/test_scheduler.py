import diffusers
import pytest
import torch

from ldm_lab.core.errors import ConfigError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.sampling.scheduler import expected_prediction, signal_and_noise_rates, visited_steps

SCHEDULE = NoiseSchedule(ScheduleConfig())
BETAS = SCHEDULE.betas.tolist()


def test_whole_steps_become_integers_and_others_stay():
    whole = diffusers.EulerDiscreteScheduler(trained_betas=BETAS, timestep_spacing="trailing")
    between = diffusers.EulerDiscreteScheduler(trained_betas=BETAS, timestep_spacing="linspace")
    for scheduler in (whole, between):
        scheduler.set_timesteps(20)
    assert visited_steps(whole, 1000).dtype == torch.int64
    assert visited_steps(between, 1000).dtype == torch.float32
    assert visited_steps(between, 1000)[1].item() == pytest.approx(999 - 999 / 19)


@pytest.mark.parametrize(
    ("scheduler", "num_steps", "message"),
    [
        (diffusers.EulerDiscreteScheduler(timestep_spacing="trailing"), 61, "visits t = -1.0, outside the model's 0"),
        (diffusers.DDIMScheduler(timestep_spacing="leading", steps_offset=1), 1000, "visits t = 1000, outside"),
    ],
)
def test_a_step_outside_the_schedule_is_refused(scheduler, num_steps, message):
    scheduler.set_timesteps(num_steps)
    with pytest.raises(ConfigError, match=message):
        visited_steps(scheduler, 1000)


@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "HeunDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_rates_are_those_that_the_scheduler_works_with(name, spacing):
    scheduler = getattr(diffusers, name)(trained_betas=BETAS, timestep_spacing=spacing)
    scheduler.set_timesteps(10)
    rates = torch.tensor(signal_and_noise_rates(scheduler, SCHEDULE), dtype=torch.float64)
    torch.testing.assert_close(rates.square().sum(1), torch.ones(len(rates), dtype=torch.float64))
    torch.testing.assert_close((rates[:, 1] / rates[:, 0]).float(), scheduler.sigmas[:-1], rtol=1e-5, atol=0)


def test_without_noise_levels_the_schedule_holds():
    scheduler = diffusers.DDIMScheduler(trained_betas=BETAS)
    scheduler.set_timesteps(10)
    rates = torch.tensor(signal_and_noise_rates(scheduler, SCHEDULE), dtype=torch.float64)
    torch.testing.assert_close(rates[:, 0].square(), SCHEDULE.alphas_cumprod[scheduler.timesteps])


def test_the_expected_prediction_is_read_from_the_config():
    for name, prediction in {"epsilon": "eps", "sample": "z_0", "v_prediction": "v"}.items():
        assert expected_prediction(diffusers.DDIMScheduler(prediction_type=name)) == prediction
    flow = diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction")
    with pytest.raises(ConfigError, match="prediction_type is 'flow_prediction'; it must be one of epsilon, sample"):
        expected_prediction(flow)
