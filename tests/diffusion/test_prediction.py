from itertools import permutations

import pytest
import torch
from diffusers import DDPMScheduler

from ldm_lab.core.errors import ConfigError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig, add_noise, check_prediction, convert
from ldm_lab.diffusion.prediction import clean_and_noise, from_clean_and_noise

PREDICTIONS = ("eps", "z_0", "v")


@pytest.fixture
def sample():
    """Everything that is known of three latents at an early, a middle and the last step."""
    schedule = NoiseSchedule(ScheduleConfig())
    z_0, noise = torch.randn(2, 3, 4, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0, 400, 999])
    velocity = DDPMScheduler(trained_betas=schedule.betas.tolist()).get_velocity(z_0, noise, t)
    truth = {"eps": noise, "z_0": z_0, "v": velocity}
    return schedule, t, add_noise(z_0, noise, t, schedule), truth


@pytest.mark.parametrize(("source", "target"), list(permutations(PREDICTIONS, 2)))
def test_conversions_find_the_truth(sample, source, target):
    schedule, t, z_t, truth = sample
    found = convert(truth[source], z_t, t, schedule, source=source, target=target)
    torch.testing.assert_close(found, truth[target], rtol=0, atol=2e-4)  # diffusers' v comes from fp32 tables


@pytest.mark.parametrize(("source", "target"), list(permutations(PREDICTIONS, 2)))
def test_conversions_undo_each_other(sample, source, target):
    schedule, t, z_t, _ = sample
    output = torch.randn(z_t.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    there = convert(output, z_t, t, schedule, source=source, target=target)
    back = convert(there, z_t, t, schedule, source=target, target=source)
    torch.testing.assert_close(back, output, rtol=1e-12, atol=1e-12)
    assert (there - output).abs().max() > 0.1  # the conversion did something


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_converting_to_itself_changes_nothing(sample, prediction):
    schedule, t, z_t, truth = sample
    same = convert(truth[prediction], z_t, t, schedule, source=prediction, target=prediction)
    assert torch.equal(same, truth[prediction])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_parts_make_up_the_noisy_latent(prediction):
    output, z_t = torch.randn(2, 2, 4, 3, 3, dtype=torch.float64)
    z_0, eps = clean_and_noise(output, z_t, 0.6, 0.8, source=prediction)
    torch.testing.assert_close(0.6 * z_0 + 0.8 * eps, z_t, rtol=0, atol=1e-14)
    torch.testing.assert_close(from_clean_and_noise(z_0, eps, 0.6, 0.8, target=prediction), output, rtol=0, atol=1e-14)


def test_velocity_is_noise_without_noise_and_minus_the_image_without_signal():
    z_0, eps = torch.randn(2, 1, 4, 3, 3)
    assert torch.equal(from_clean_and_noise(z_0, eps, 1.0, 0.0, target="v"), eps)
    assert torch.equal(from_clean_and_noise(z_0, eps, 0.0, 1.0, target="v"), -z_0)


@pytest.mark.parametrize("source", ["z_0", "v"])
def test_without_signal_the_clean_latent_is_still_found(source):
    schedule = NoiseSchedule(ScheduleConfig(zero_terminal_snr=True))
    z_0, noise = torch.randn(2, 1, 4, 3, 3, dtype=torch.float64)
    t = torch.tensor([999])
    output = {"z_0": z_0, "v": -z_0}[source]
    for target, expected in {"z_0": z_0, "eps": noise, "v": -z_0}.items():
        found = convert(output, noise, t, schedule, source=source, target=target)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_eps_and_zero_terminal_snr_refuse_each_other():
    config = ScheduleConfig(zero_terminal_snr=True)
    z_t = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ConfigError, match="'eps' cannot be used with zero_terminal_snr=True"):
        check_prediction(config, "eps")
    with pytest.raises(ConfigError, match="'eps' cannot be used with zero_terminal_snr=True"):
        convert(z_t, z_t, torch.tensor([5]), NoiseSchedule(config), source="eps", target="z_0")
    check_prediction(config, "v")
    check_prediction(ScheduleConfig(), "eps")


def test_unknown_predictions_are_named():
    z_t = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ConfigError, match="prediction is 'x_0'; choose one of eps, z_0, v"):
        clean_and_noise(z_t, z_t, 0.6, 0.8, source="x_0")
    with pytest.raises(ConfigError, match="prediction is 'x_0'; choose one of eps, z_0, v"):
        from_clean_and_noise(z_t, z_t, 0.6, 0.8, target="x_0")
