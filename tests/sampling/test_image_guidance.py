import math

import diffusers
import pytest
import torch
import torch.nn.functional as F

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import ConfigError, RequestError, ShapeError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig, convert
from ldm_lab.sampling import Guidance, ImageGuidance, half_squared_error, make_scheduler, sample_steps

CONFIG = ScheduleConfig()
GAIN = 0.8
TIMESTEPS = torch.tensor([900, 500, 100])


def decode(z):
    """A linear first stage: every latent number becomes 2 x 2 pixels of three colours."""
    return GAIN * F.interpolate(z, scale_factor=2.0).repeat(1, 3, 1, 1)


def halve(x):
    return F.avg_pool2d(x, 2)


def z_at(t, seed=0):
    return torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + t))


def target(seed=1):
    return torch.randn(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def guided_by(**values):
    return ImageGuidance(**{"target": target(), "decode": decode, "transform": halve} | values)


@torch.no_grad()
def walked(model, guidance, num_steps=20, cond=None, name="ddim"):
    scheduler = make_scheduler(name, model.schedule.config, model.prediction)
    request = {"num_steps": num_steps, "seeds": [1, 2], "shape": (1, 4, 4), "guidance": guidance}
    return list(sample_steps(model, cond, scheduler, **request))


@pytest.mark.parametrize("prediction", ["eps", "z_0", "v"])
def test_a_step_on_gaussian_data_has_its_known_answer(gaussian_model, prediction):
    """z_0(z_t) is linear with slope k = a s^2 / (a^2 s^2 + b^2), and T(D(z)) is GAIN z in each of three colours."""
    model, scale = gaussian_model(prediction=prediction), 0.7
    plain = Guidance().bind(model, None, TIMESTEPS)
    guided = guided_by(scale=scale).bind(model, None, TIMESTEPS)
    for index, t in enumerate(TIMESTEPS.tolist()):
        z_t, steps = z_at(t), torch.tensor([t, t])
        abar = model.schedule.alphas_cumprod[t].item()
        slope = math.sqrt(abar) * model.std**2 / (abar * model.std**2 + 1 - abar)
        clean, eps = (
            convert(plain(z_t, index), z_t, steps, model.schedule, source=prediction, target=kind)
            for kind in ("z_0", "eps")
        )
        gradient_of_log_p = slope * GAIN * (target() - GAIN * clean).sum(1, keepdim=True)
        expected = eps - scale * math.sqrt(1 - abar) * gradient_of_log_p
        found = convert(guided(z_t, index), z_t, steps, model.schedule, source=prediction, target="eps")
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
        assert (expected - eps).abs().max() > 0.01


def test_the_gradient_is_that_of_finite_differences(conditional_model):
    """A non-linear network, transform and loss; the corrections of eps must be -b scale d log p / d z_t."""
    model = conditional_model()
    settings = {
        "transform": lambda x: torch.tanh(halve(x)),
        "loss": lambda seen, wanted: (seen - wanted).pow(4).flatten(1).sum(1),
    }
    guidance = guided_by(**settings, scale=0.3)
    plain, guided = (guide.bind(model, None, TIMESTEPS) for guide in (Guidance(), guidance))
    z_t, index, distance = z_at(500), 1, 1e-5
    abar = model.schedule.alphas_cumprod[500].item()

    def log_p(z):
        clean = (z - math.sqrt(1 - abar) * plain(z, index)) / math.sqrt(abar)
        return -settings["loss"](settings["transform"](decode(clean)), target())

    change = (guided(z_t, index) - plain(z_t, index)) / (-math.sqrt(1 - abar) * 0.3)
    for place in ((0, 0, 0), (0, 2, 3), (0, 3, 1)):
        nudge = torch.zeros_like(z_t)
        nudge[:, *place] = distance
        slope = (log_p(z_t + nudge) - log_p(z_t - nudge)) / (2 * distance)
        torch.testing.assert_close(change[:, *place], slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["ddim", "dpm++2m", "euler", "ddpm"])
def test_guided_walks_come_closer_to_the_target_and_the_paper_s_sign_would_lead_away(gaussian_model, name):
    def distance(guidance):
        return half_squared_error(halve(decode(walked(model, guidance, name=name)[-1].z_next)), target()).mean()

    model = gaussian_model()
    plain, weak, strong = (distance(guided_by(scale=scale)) for scale in (0.0, 1.0, 5.0))
    assert strong < weak < plain
    assert strong < 0.7 * plain
    away = distance(guided_by(scale=1.0, loss=lambda seen, wanted: -half_squared_error(seen, wanted)))
    assert away > plain


def test_scale_0_is_the_plain_walk(conditional_model):
    plain = walked(conditional_model(), Guidance())
    for step, expected in zip(walked(conditional_model(), guided_by(scale=0.0)), plain, strict=True):
        assert torch.equal(step.z_next, expected.z_next)
    assert not torch.equal(walked(conditional_model(), guided_by())[-1].z_next, plain[-1].z_next)


def test_it_goes_around_classifier_free_guidance(conditional_model):
    cond, null = (Conditioning(vector=torch.full((2, 1), value)) for value in (0.5, -0.5))
    base = Guidance(scale=3.0, negative=null)
    model = conditional_model(prediction="v")
    plain, guided = (walked(model, guide, cond=cond) for guide in (base, guided_by(scale=0.0, base=base)))
    assert torch.equal(plain[-1].z_next, guided[-1].z_next)
    near = walked(model, guided_by(scale=0.1, base=base), cond=cond)[-1].z_next
    before, after = (half_squared_error(halve(decode(z)), target()).mean() for z in (plain[-1].z_next, near))
    assert after < before


def test_records_are_true_and_gradients_stay_inside(conditional_model):
    model = conditional_model(prediction="v")
    steps = walked(model, guided_by(scale=0.1))
    for step in steps:
        assert not any(getattr(step, name).requires_grad for name in ("z_t", "z_0_pred", "noise_pred", "z_next"))
        signal_rate, noise_rate = model.schedule.rates(torch.tensor([step.t] * 2), step.z_t)
        mixture = signal_rate * step.z_0_pred + noise_rate * step.noise_pred
        torch.testing.assert_close(mixture, step.z_t, rtol=0, atol=1e-5)
    assert torch.is_grad_enabled()


def test_an_image_does_not_depend_on_its_batch(conditional_model):
    targets = torch.cat([target(1), target(2)])
    model, scheduler = conditional_model(), make_scheduler("ddim", CONFIG, "eps")
    request = {"num_steps": 5, "shape": (1, 4, 4)}
    *_, batch = sample_steps(model, None, scheduler, seeds=[1, 2], guidance=guided_by(target=targets), **request)
    *_, alone = sample_steps(model, None, scheduler, seeds=[2], guidance=guided_by(target=target(2)), **request)
    torch.testing.assert_close(batch.z_next[1:], alone.z_next, rtol=0, atol=1e-12)


def test_a_step_without_signal_is_left_alone(gaussian_model):
    model = gaussian_model(ScheduleConfig(zero_terminal_snr=True), "v")
    steps = walked(model, guided_by(scale=0.1))
    assert all(step.z_next.isfinite().all() for step in steps)


def test_bad_values_are_named(gaussian_model, conditional_model):
    for scale in (-1.0, math.inf, math.nan, True, "1"):
        with pytest.raises(RequestError, match=f"scale is {scale!r}"):
            guided_by(scale=scale)
    with pytest.raises(ShapeError, match=r"target has shape \(1, 3, 4, 5\), what is seen \(2, 3, 4, 4\)"):
        walked(gaussian_model(), guided_by(target=torch.zeros(1, 3, 4, 5)))
    scheduler = diffusers.EulerDiscreteScheduler(trained_betas=NoiseSchedule(CONFIG).betas.tolist())
    with pytest.raises(ConfigError, match="visits places between them"):
        sample_steps(
            conditional_model(), None, scheduler, num_steps=6, seeds=[1], shape=(1, 4, 4), guidance=guided_by()
        )
