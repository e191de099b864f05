import pytest
import torch

from ldm_lab.core.errors import ConfigError, ShapeError
from ldm_lab.diffusion import (
    NoiseSchedule,
    ObjectiveConfig,
    ScheduleConfig,
    add_noise,
    convert,
    denoising_loss,
    draw_steps,
)
from ldm_lab.diffusion.objective import add_offset, loss_weights

PREDICTIONS = ("eps", "z_0", "v")
SCHEDULE = NoiseSchedule(ScheduleConfig())
T = torch.tensor([0, 50, 500, 999])


@pytest.fixture
def latents():
    """Clean latents, noise and a guess of the noise that is 0.1 to 0.4 off."""
    draws = torch.randn(2, 4, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    guess = draws[1] + torch.tensor([0.1, 0.2, 0.3, 0.4]).reshape(4, 1, 1, 1)
    return draws[0], draws[1], guess


def answer(guess, prediction):
    """A network that believes in ``guess`` and states it as ``prediction``."""
    return lambda z_t, t: convert(guess, z_t, t, SCHEDULE, source="eps", target=prediction)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_the_truth_costs_nothing(latents, prediction, loss):
    z_0, noise, _ = latents
    config = ObjectiveConfig(loss=loss, prediction=prediction)
    result = denoising_loss(answer(noise, prediction), z_0, T, noise, SCHEDULE, config)
    assert result.mean.item() < 1e-12


def test_l1_and_l2_are_means_of_the_error(latents):
    z_0, noise, guess = latents
    off = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    for loss, expected in {"l1": off, "l2": off.square()}.items():
        result = denoising_loss(answer(guess, "eps"), z_0, T, noise, SCHEDULE, ObjectiveConfig(loss=loss))
        torch.testing.assert_close(result.per_sample, expected, rtol=1e-6, atol=0)
        torch.testing.assert_close(result.mean, expected.mean(), rtol=1e-6, atol=0)


def test_the_network_sees_the_noisy_latent_and_its_step(latents):
    z_0, noise, _ = latents
    seen = {}

    def predict(z_t, t):
        seen.update(z_t=z_t, t=t)
        return z_t

    denoising_loss(predict, z_0, T, noise, SCHEDULE, ObjectiveConfig())
    assert torch.equal(seen["z_t"], add_noise(z_0, noise, T, SCHEDULE))
    assert torch.equal(seen["t"], T)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_min_snr_counts_the_same_error_alike_whatever_is_predicted(latents, prediction):
    """The weighted loss must be min(SNR, gamma) times the squared error of z_0, in all three parameterisations."""
    z_0, noise, guess = latents
    config = ObjectiveConfig(prediction=prediction, min_snr_gamma=5.0)
    result = denoising_loss(answer(guess, prediction), z_0, T, noise, SCHEDULE, config)
    z_t = add_noise(z_0, noise, T, SCHEDULE)
    error_of_z_0 = convert(guess, z_t, T, SCHEDULE, source="eps", target="z_0") - z_0
    abar = SCHEDULE.alphas_cumprod[T]
    weights = (abar / (1 - abar)).clamp(max=5.0)
    expected = (weights * error_of_z_0.square().flatten(1).mean(1)).mean()
    torch.testing.assert_close(result.mean, expected, rtol=1e-9, atol=0)


def test_min_snr_weights_at_both_ends():
    weights = {p: loss_weights(T, SCHEDULE, ObjectiveConfig(prediction=p, min_snr_gamma=5.0)) for p in PREDICTIONS}
    assert weights["z_0"][0].item() == 5.0  # clamped where there is much signal
    assert weights["eps"][-1].item() == 1.0  # eps keeps its weight where there is little
    assert weights["v"][-1].item() == pytest.approx(SCHEDULE.snr(T)[-1].item(), rel=1e-3)
    assert loss_weights(T, SCHEDULE, ObjectiveConfig()).tolist() == [1.0] * 4


def test_zero_terminal_snr_is_finite(latents):
    z_0, noise, _ = latents
    schedule = NoiseSchedule(ScheduleConfig(zero_terminal_snr=True))
    for gamma in (None, 5.0):
        config = ObjectiveConfig(prediction="v", min_snr_gamma=gamma)
        assert denoising_loss(lambda z_t, t: z_t, z_0, T, noise, schedule, config).mean.isfinite()
    with pytest.raises(ConfigError, match="'eps' cannot be used"):
        denoising_loss(lambda z_t, t: z_t, z_0, T, noise, schedule, ObjectiveConfig())


def test_half_precision_output_is_compared_in_full(latents):
    z_0, noise, _ = latents
    config = ObjectiveConfig()
    result = denoising_loss(lambda z_t, t: z_t.bfloat16(), z_0.float(), T, noise.float(), SCHEDULE, config)
    assert result.mean.dtype == torch.float32


def test_only_the_mean_carries_a_gradient(latents):
    z_0, noise, _ = latents
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    result = denoising_loss(lambda z_t, t: scale * z_t, z_0, T, noise, SCHEDULE, ObjectiveConfig())
    result.mean.backward()
    z_t = add_noise(z_0, noise, T, SCHEDULE)
    torch.testing.assert_close(scale.grad, (2 * (z_t - noise) * z_t).mean(), rtol=1e-12, atol=0)
    assert not result.per_sample.requires_grad


def test_offset_noise_shifts_whole_channels(latents):
    z_0, noise, _ = latents
    offset = torch.randn(4, 3, 1, 1, dtype=torch.float64)
    shifted = add_offset(noise, offset, strength=0.1)
    torch.testing.assert_close(shifted - noise, (0.1 * offset).expand_as(noise))
    config = ObjectiveConfig(offset_noise=0.1)
    result = denoising_loss(answer(shifted, "eps"), z_0, T, noise, SCHEDULE, config, offset=offset)
    assert result.mean.item() < 1e-12
    assert add_offset(noise, None, strength=0.0) is noise


def test_offset_must_be_there_exactly_when_it_is_used(latents):
    z_0, noise, _ = latents
    with pytest.raises(ShapeError, match=r"offset has shape None; offset_noise=0.1 needs \(4, 3, 1, 1\)"):
        denoising_loss(answer(noise, "eps"), z_0, T, noise, SCHEDULE, ObjectiveConfig(offset_noise=0.1))
    with pytest.raises(ShapeError, match=r"offset has shape \(4, 3, 5, 5\)"):
        add_offset(noise, noise, strength=0.1)
    with pytest.raises(ShapeError, match=r"offset has shape \(4, 3, 1, 1\); offset_noise=0.0 needs None"):
        add_offset(noise, torch.zeros(4, 3, 1, 1), strength=0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "huber"}, "loss is 'huber'"),
        ({"prediction": "x_0"}, "prediction is 'x_0'"),
        ({"min_snr_gamma": 0.0}, "min_snr_gamma is 0.0"),
        ({"offset_noise": -0.1}, "offset_noise is -0.1"),
        ({"loss": "l1", "min_snr_gamma": 5.0}, "min_snr_gamma is 5.0 with loss 'l1'"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        ObjectiveConfig(**settings)


def test_inputs_are_left_alone(latents):
    z_0, noise, guess = latents
    copies = z_0.clone(), noise.clone()
    denoising_loss(answer(guess, "eps"), z_0, T, noise, SCHEDULE, ObjectiveConfig())
    assert torch.equal(z_0, copies[0])
    assert torch.equal(noise, copies[1])


def test_steps_are_drawn_evenly():
    steps = draw_steps(20_000, NoiseSchedule(ScheduleConfig(num_train_steps=10)), torch.Generator().manual_seed(0))
    assert steps.bincount(minlength=10).sub(2000).abs().max() < 200


@pytest.mark.parametrize("shift", [0.5, 3.0])
def test_shifted_steps_have_the_stated_density(shift):
    """Half of them are beyond the place to which 1/2 is mapped."""
    schedule = NoiseSchedule(ScheduleConfig())
    steps = draw_steps(20_000, schedule, torch.Generator().manual_seed(0), shift=shift)
    assert steps.min() >= 0
    assert steps.max() < len(schedule)
    assert steps.dtype == torch.int64
    middle = 1000 * shift * 0.5 / (1 + (shift - 1) * 0.5)
    assert (steps >= middle).float().mean() == pytest.approx(0.5, abs=0.02)
