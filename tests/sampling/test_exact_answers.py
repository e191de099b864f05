"""For Gaussian data the best denoiser is known, and with it where every sampler must arrive.

The deterministic samplers are measured against the closed-form flow: the order of convergence and the constant. The
stochastic ones are measured against their own update formulas, written down here a second time.
"""

import math
from types import SimpleNamespace

import diffusers
import pytest
import torch

from ldm_lab.core.seeding import generator, sample_noise
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.diffusion.schedule import posterior
from ldm_lab.sampling import make_scheduler, sample_steps

LEVEL_MIN, LEVEL_MAX = 0.02, 80.0
DISPLACEMENT = 0.815  # of the end from the mean, for the worst of the table's four start points

# Error at 16, 64, 128 and 512 steps on the Karras grid 80 -> 0.02, rho 7, for data N(0.3, 0.5^2)
TABLE = {
    "EulerDiscreteScheduler": {16: 1.19e-1, 64: 3.15e-2, 128: 1.59e-2, 512: 4.01e-3},
    "HeunDiscreteScheduler": {16: 4.00e-2, 64: 2.29e-3, 128: 5.63e-4, 512: 3.48e-5},
    "DPMSolverMultistepScheduler": {16: 3.80e-2, 64: 2.31e-3, 128: 5.62e-4, 512: 3.44e-5},
}
ORDER = {"EulerDiscreteScheduler": 1, "HeunDiscreteScheduler": 2, "DPMSolverMultistepScheduler": 2}


def karras_scheduler(name):
    """A scheduler of diffusers whose schedule spans the grid exactly."""
    levels = torch.logspace(math.log10(LEVEL_MIN), math.log10(LEVEL_MAX), 1000, dtype=torch.float64)
    abar = 1 / (1 + levels.square())
    betas = torch.cat([1 - abar[:1], 1 - abar[1:] / abar[:-1]])
    return getattr(diffusers, name)(trained_betas=betas.tolist(), use_karras_sigmas=True, timestep_spacing="linspace")


def error_on_the_karras_grid(gaussian_model, name, num_steps, bug=lambda levels: levels):
    """Distance from the closed-form flow at the last noise level before 0, for a start 0.815 from the mean's path."""
    scheduler = karras_scheduler(name)
    scheduler.set_timesteps(num_steps + 1)  # the points of the grid; the step after the last goes to 0
    model = gaussian_model(levels=bug(scheduler.sigmas[:-1].double()))
    walk = list(sample_steps(model, None, scheduler, num_steps=num_steps + 1, seeds=[1], shape=(1, 4, 4)))
    found, exact = walk[-1].z_t, model.solve(walk[0].z_t, LEVEL_MAX, LEVEL_MIN)
    mean = model.mean / math.sqrt(1 + LEVEL_MIN**2)
    return ((found - exact).abs() / (exact - mean).abs()).mean().item() * DISPLACEMENT


@pytest.mark.parametrize("name", TABLE)
def test_order_of_convergence_and_constant(gaussian_model, name):
    errors = {num_steps: error_on_the_karras_grid(gaussian_model, name, num_steps) for num_steps in TABLE[name]}
    for num_steps, error in errors.items():
        assert 0.9 * TABLE[name][num_steps] < error < 1.1 * TABLE[name][num_steps]
    slope = math.log2(errors[64] / errors[512]) / 3
    assert slope == pytest.approx(ORDER[name], abs=0.05)


def test_a_noise_level_off_by_one_is_caught_by_the_constant(gaussian_model):
    name = "EulerDiscreteScheduler"
    error = error_on_the_karras_grid(gaussian_model, name, 64, bug=lambda levels: torch.cat([levels[1:], levels[-1:]]))
    assert error > 5 * TABLE[name][64]


def test_a_second_evaluation_at_the_first_noise_level_is_caught_by_the_slope(gaussian_model):
    """Heun looks again at the end of its step; here it looks with the level of the beginning."""

    def reuse(levels):
        levels = levels.clone()
        levels[1::2] = levels[0:-1:2]
        return levels

    errors = [error_on_the_karras_grid(gaussian_model, "HeunDiscreteScheduler", n, bug=reuse) for n in (64, 256)]
    assert math.log2(errors[0] / errors[1]) / 2 < 1.5


# Largest error of the catalogue's samplers at 20 and 100 steps, over 1,024 starts; as measured when they were chosen
MEASURED = {
    "ddim": (0.313, 0.0868),
    "dpm++2m": (0.238, 0.0458),
    "unipc": (0.234, 0.0474),
    "euler": (0.313, 0.0868),
    "heun": (0.224, 0.0500),
    "plms": (0.118, 0.0262),
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_catalogue_keeps_its_accuracy(gaussian_model, name):
    """On the grid of whole steps, and down to z_0, the last step dominates: order 2 is not to be had there."""
    model, scheduler = gaussian_model(), make_scheduler(name, ScheduleConfig(), "eps")
    for num_steps, expected in zip((20, 100), MEASURED[name], strict=True):
        walk = list(sample_steps(model, None, scheduler, num_steps=num_steps, seeds=[1], shape=(1, 32, 32)))
        exact = model.solve(walk[0].z_t, model.schedule.snr(torch.tensor(999)).rsqrt())
        assert (walk[-1].z_next - exact).abs().max().item() == pytest.approx(expected, rel=0.1)


def test_clipping_ruins_latents(gaussian_model):
    """The negative control of clip_sample=False: diffusers' DDIM clips z_0 to [-1, 1] unless told not to."""
    model, betas = gaussian_model(), NoiseSchedule(ScheduleConfig()).betas.tolist()
    by_default = diffusers.DDIMScheduler(trained_betas=betas, timestep_spacing="trailing")
    errors = []
    for scheduler in (by_default, make_scheduler("ddim", ScheduleConfig(), "eps")):
        walk = list(sample_steps(model, None, scheduler, num_steps=200, seeds=[1], shape=(1, 32, 32)))
        exact = model.solve(walk[0].z_t, model.schedule.snr(torch.tensor(999)).rsqrt())
        errors.append((walk[-1].z_next - exact).abs().max().item())
    assert errors[0] > 0.3
    assert errors[1] < 0.06


# The second implementation of the stochastic samplers. Each maps the parts of a step to the next z, for rates
# a = sqrt(abar), b = sqrt(1 - abar) of this step and a_, b_ of the next.


def ancestral(s):
    """DDPM's posterior (Ho et al. 2020, eq. 7), and Euler's ancestral step, which is the same in other coordinates."""
    ratio = s.a / s.a_
    variance = s.b**2 - ratio**2 * s.b_**2
    mean = (s.a_ * variance * s.z_0 + ratio * s.b_**2 * s.z) / s.b**2
    return mean + s.b_ / s.b * math.sqrt(variance) * s.noise


def consistency(s):
    """Luo et al. 2023, algorithm 1: z_0, then fresh noise."""
    return s.a_ * s.z_0 + s.b_ * s.noise


def dpm_solver_sde(s):
    """SDE-DPM-Solver++(2M) of Lu et al. 2022, appendix B, with the midpoint rule; first order at both ends."""
    if s.b_ == 0:
        return s.z_0
    h = math.log(s.a_ / s.b_) - math.log(s.a / s.b)
    slope = 0.0
    if s.earlier is not None:
        h_before = math.log(s.a / s.b) - math.log(s.earlier.a / s.earlier.b)
        slope = (s.z_0 - s.earlier.z_0) * h / h_before
    drift = s.a_ * (1 - math.exp(-2 * h)) * (s.z_0 + 0.5 * slope)
    return s.b_ / s.b * math.exp(-h) * s.z + drift + s.b_ * math.sqrt(1 - math.exp(-2 * h)) * s.noise


UPDATES = {"ddpm": ancestral, "euler-a": ancestral, "lcm": consistency, "dpm++2m-sde": dpm_solver_sde}


def second_implementation(model, update, timesteps, z, noise_at):
    """The walk over ``timesteps`` in fp64."""
    abar = [model.schedule.alphas_cumprod[t].item() for t in timesteps] + [1.0]
    denoise, earlier = model.bind(None, torch.tensor(timesteps)), None
    for i in range(len(timesteps)):
        (a, b), (a_, b_) = ((math.sqrt(value), math.sqrt(1 - value)) for value in abar[i : i + 2])
        z_0 = (z - b * denoise(z, i)) / a
        step = SimpleNamespace(a=a, b=b, a_=a_, b_=b_, z=z, z_0=z_0, noise=noise_at(i), earlier=earlier)
        z, earlier = update(step), step
    return z


@pytest.mark.parametrize("name", UPDATES)
def test_stochastic_samplers_follow_their_formulas_and_the_named_noise(gaussian_model, name):
    model, shape = gaussian_model(dtype=torch.float32), (1, 8, 8)
    scheduler = make_scheduler(name, ScheduleConfig(), "eps")
    walk = list(sample_steps(model, None, scheduler, num_steps=30, seeds=[5, 6], shape=shape))
    expected = second_implementation(
        model,
        UPDATES[name],
        [step.t for step in walk],
        walk[0].z_t.double(),
        lambda index: sample_noise(shape, [5, 6], stream=index).double(),
    )
    torch.testing.assert_close(walk[-1].z_next.double(), expected, rtol=0, atol=2e-4)  # fp32 tables and arithmetic


@pytest.mark.parametrize("name", ["ddpm", "euler-a", "dpm++2m-sde"])
def test_stochastic_samplers_draw_from_the_data(gaussian_model, name):
    """Mean and variance of 10^5 numbers within 4.5 standard errors of what the sampler's linear recursion predicts."""
    n, model = 10**5, gaussian_model(dtype=torch.float32)
    scheduler = make_scheduler(name, ScheduleConfig(), "eps")
    walk = list(sample_steps(model, None, scheduler, num_steps=60, seeds=[1], shape=(1, 1, n)))
    z = walk[-1].z_next.double()

    basis = torch.eye(62, dtype=torch.float64)  # rows: nothing, z_T, the noise of each step
    affine = second_implementation(
        model, UPDATES[name], [step.t for step in walk], basis[1], lambda index: basis[2 + index]
    )
    mean, weights = affine[0], affine - affine[0]
    variance = weights.square().sum()
    assert abs(z.mean() - mean) < 4.5 * (variance / n).sqrt()
    assert abs(z.var() - variance) < 4.5 * variance * math.sqrt(2 / n)
    assert mean == pytest.approx(0.3, abs=0.01)  # and that is near the data
    assert variance.sqrt() == pytest.approx(0.5, abs=0.07)


def test_a_ddpm_step_is_the_posterior(gaussian_model):
    model = gaussian_model()
    scheduler = make_scheduler("ddpm", ScheduleConfig(), "eps")
    start = (torch.linspace(-2, 2, 16, dtype=torch.float64).reshape(1, 1, 4, 4), 500)
    step = next(sample_steps(model, None, scheduler, num_steps=1000, seeds=[1], shape=(1, 4, 4), start=start))
    mean, variance = posterior(step.z_0_pred, step.z_t, torch.tensor([step.t]), model.schedule)
    standardised = (step.z_next - mean) / variance.sqrt()
    noise = torch.randn(1, 1, 4, 4, dtype=torch.float64, generator=generator("noise", 1, 500))
    torch.testing.assert_close(standardised, noise, rtol=0, atol=1e-2)  # diffusers' fp32 tables: beta has 4 digits left
