import math

import pytest
import torch
from diffusers import DDPMScheduler

from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import ConfigError, ShapeError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig, add_noise
from ldm_lab.diffusion.schedule import posterior

KINDS = ("linear", "scaled_linear", "cosine")
ALL = [ScheduleConfig(kind=kind, zero_terminal_snr=zero) for kind in KINDS for zero in (False, True)]


@pytest.fixture(params=ALL, ids=lambda config: f"{config.kind}{'-zero' * config.zero_terminal_snr}")
def schedule(request):
    return NoiseSchedule(request.param)


def test_the_tables_hang_together(schedule):
    assert schedule.betas.dtype == torch.float64
    assert len(schedule) == len(schedule.betas) == 1000
    torch.testing.assert_close(schedule.alphas, 1 - schedule.betas)
    torch.testing.assert_close(schedule.alphas_cumprod, schedule.alphas.cumprod(0))


def test_the_signal_to_noise_ratio_falls_at_every_step(schedule):
    snr = schedule.snr(torch.arange(1000))
    assert (snr.diff() < 0).all()
    assert snr.isfinite().all()
    assert 0 < snr[-2] < 1 < snr[0]


def test_betas_lie_inside_the_unit_interval(schedule):
    largest = 1.0 if schedule.config.zero_terminal_snr else 0.999
    assert (schedule.betas > 0).all()
    assert (schedule.betas <= largest).all()


@pytest.mark.parametrize(
    ("kind", "name"), list(zip(KINDS, ("linear", "scaled_linear", "squaredcos_cap_v2"), strict=True))
)
def test_betas_are_those_of_diffusers(kind, name):
    ours = NoiseSchedule(ScheduleConfig(kind=kind, beta_start=0.00085, beta_end=0.012))
    theirs = DDPMScheduler(beta_schedule=name, beta_start=0.00085, beta_end=0.012)
    torch.testing.assert_close(ours.betas.float(), theirs.betas, rtol=1e-5, atol=0)  # theirs are made in fp32
    torch.testing.assert_close(ours.alphas_cumprod.float(), theirs.alphas_cumprod, rtol=1e-4, atol=0)  # 1000 products


def test_end_points():
    linear = NoiseSchedule(ScheduleConfig(kind="linear", beta_start=0.001, beta_end=0.02))
    scaled = NoiseSchedule(ScheduleConfig(kind="scaled_linear", beta_start=0.001, beta_end=0.02))
    for schedule in (linear, scaled):
        assert schedule.betas[0].item() == pytest.approx(0.001, rel=1e-12)
        assert schedule.betas[-1].item() == pytest.approx(0.02, rel=1e-12)
    assert linear.betas.diff().std() < 1e-12
    assert scaled.betas.sqrt().diff().std() < 1e-12
    assert scaled.betas.diff().std() > 1e-7  # "scaled" is not "linear"


def test_cosine_is_a_squared_cosine_of_time():
    abar = NoiseSchedule(ScheduleConfig(kind="cosine")).alphas_cumprod

    def squared_cosine(t):
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    for t in (0, 1, 10, 500, 997):  # only the last beta is clipped
        assert abar[t].item() == pytest.approx(squared_cosine(t + 1) / squared_cosine(0), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_terminal_snr_empties_the_last_step_and_keeps_the_first(kind):
    plain = NoiseSchedule(ScheduleConfig(kind=kind))
    zero = NoiseSchedule(ScheduleConfig(kind=kind, zero_terminal_snr=True))
    assert zero.alphas_cumprod[-1] == 0
    assert plain.alphas_cumprod[-1] > 0
    assert zero.alphas_cumprod[0].item() == pytest.approx(plain.alphas_cumprod[0].item(), rel=1e-12)
    assert zero.betas.isfinite().all()


def test_zero_terminal_snr_is_that_of_diffusers():
    ours = NoiseSchedule(ScheduleConfig(zero_terminal_snr=True))
    theirs = DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195, rescale_betas_zero_snr=True
    )
    torch.testing.assert_close(ours.alphas_cumprod.float(), theirs.alphas_cumprod, rtol=0, atol=1e-5)


def test_add_noise_is_the_formula(schedule):
    z_0, noise = torch.randn(2, 3, 4, 5, 5, dtype=torch.float64)
    t = torch.tensor([0, 500, 999])
    z_t = add_noise(z_0, noise, t, schedule)
    for i, step in enumerate(t):
        abar = schedule.alphas_cumprod[step]
        torch.testing.assert_close(z_t[i], abar.sqrt() * z_0[i] + (1 - abar).sqrt() * noise[i], rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_sample_decides_the_dtype(dtype):
    z_0 = torch.zeros(2, 1, 2, 2, dtype=dtype)
    assert add_noise(z_0, z_0, torch.tensor([1, 2]), NoiseSchedule(ScheduleConfig())).dtype == dtype


def test_noisy_latents_have_the_right_moments():
    """Mean, variance, third and fourth moment of q(z_t | z_0) within 4.5 standard errors of 10^6 draws."""
    schedule, n, value = NoiseSchedule(ScheduleConfig()), 10**6, 0.7
    noise = torch.randn(1, n, generator=torch.Generator().manual_seed(0))
    for step in (0, 100, 500, 999):
        abar = schedule.alphas_cumprod[step].item()
        z_t = add_noise(torch.full((1, n), value), noise, torch.tensor([step]), schedule).double()
        centred = (z_t - math.sqrt(abar) * value) / math.sqrt(1 - abar)  # standard normal if all is well
        for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert abs(centred.pow(power).mean().item() - moment) < 4.5 * math.sqrt(variance / n)


def test_posterior_is_gaussian_conditioning():
    """Condition the joint Gaussian of (z_{t-1}, z_t) given z_0 on z_t, for every t."""
    schedule = NoiseSchedule(ScheduleConfig())
    z_0, z_t = 0.4, -1.3
    abar, alphas, betas = schedule.alphas_cumprod, schedule.alphas, schedule.betas
    t = torch.arange(1, 1000)
    prior_mean, prior_variance = abar[t - 1].sqrt() * z_0, 1 - abar[t - 1]
    covariance = alphas[t].sqrt() * prior_variance
    variance_of_z_t = alphas[t] * prior_variance + betas[t]
    mean = prior_mean + covariance / variance_of_z_t * (z_t - alphas[t].sqrt() * prior_mean)
    variance = prior_variance - covariance.square() / variance_of_z_t

    filled = torch.ones(999, 1, dtype=torch.float64)
    our_mean, our_variance = posterior(z_0 * filled, z_t * filled, t, schedule)
    torch.testing.assert_close(our_mean.squeeze(), mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(our_variance.squeeze(), variance, rtol=1e-10, atol=1e-12)


def test_posterior_at_the_first_step_is_the_clean_latent():
    z_0, z_t = torch.randn(2, 1, 4, 3, 3, dtype=torch.float64)
    mean, variance = posterior(z_0, z_t, torch.tensor([0]), NoiseSchedule(ScheduleConfig()))
    torch.testing.assert_close(mean, z_0, rtol=0, atol=1e-12)
    assert variance.item() == 0


def test_inputs_are_left_alone():
    schedule = NoiseSchedule(ScheduleConfig())
    z_0, noise, t = torch.ones(2, 1, 2, 2), torch.ones(2, 1, 2, 2), torch.tensor([3, 5])
    add_noise(z_0, noise, t, schedule)
    assert z_0.eq(1).all()
    assert noise.eq(1).all()
    assert t.tolist() == [3, 5]


def test_wrong_shapes_are_named():
    schedule, z_0 = NoiseSchedule(ScheduleConfig()), torch.zeros(2, 4, 8, 8)
    with pytest.raises(ShapeError, match=r"noise has shape \(2, 4, 8, 7\), z_0 has \(2, 4, 8, 8\)"):
        add_noise(z_0, torch.zeros(2, 4, 8, 7), torch.zeros(2, dtype=torch.long), schedule)
    with pytest.raises(ShapeError, match=r"t is torch.int64 of shape \(1,\).*2 samples"):
        add_noise(z_0, z_0, torch.tensor([5]), schedule)
    with pytest.raises(ShapeError, match=r"t is torch.float32"):
        add_noise(z_0, z_0, torch.tensor([5.0, 6.0]), schedule)


@pytest.mark.parametrize("step", [-1, 1000])
def test_a_step_outside_the_schedule_is_not_wrapped(step):
    with pytest.raises(IndexError):
        add_noise(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([step]), NoiseSchedule(ScheduleConfig()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta_start": 0.0}, "beta_start 0.0"),
        ({"beta_start": 0.5, "beta_end": 0.4}, "beta_start 0.5 and beta_end 0.4"),
        ({"beta_end": 1.0}, "beta_end 1.0"),
        ({"beta_end": math.nan}, "beta_end is nan"),
        ({"num_train_steps": 1}, "num_train_steps is 1; it must be from 2"),
        ({"num_train_steps": True}, "num_train_steps is True"),
        ({"num_train_steps": 10**9}, "num_train_steps is 1000000000"),
        ({"kind": "sigmoid"}, "kind is 'sigmoid'; expected one of linear, scaled_linear, cosine"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        ScheduleConfig(**settings)


@pytest.mark.parametrize("config", ALL)
def test_configs_survive_json(config):
    assert from_dict(ScheduleConfig, to_dict(config)) == config
