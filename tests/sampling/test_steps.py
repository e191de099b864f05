import itertools
from types import SimpleNamespace

import diffusers
import pytest
import torch
from diffusers.utils.torch_utils import randn_tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import ConfigError, RequestError, ShapeError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig, convert
from ldm_lab.sampling import SAMPLERS, Guidance, make_scheduler, sample_steps

SHAPE = (2, 4, 4)
CONFIG = ScheduleConfig()
BETAS = NoiseSchedule(CONFIG).betas.tolist()


def walk(model, scheduler, num_steps=6, seeds=(1,), cond=None, **settings):
    return list(sample_steps(model, cond, scheduler, num_steps=num_steps, seeds=seeds, shape=SHAPE, **settings))


@pytest.fixture(params=SAMPLERS)
def sampler(request):
    return make_scheduler(request.param, CONFIG, "eps")


class Recorder:
    """The smallest scheduler there can be, none of diffusers': it walks straight to its own noise and records it."""

    init_noise_sigma = 1.0

    def __init__(self):
        self.config = SimpleNamespace(prediction_type="epsilon")

    def set_timesteps(self, num_inference_steps, device=None):
        self.timesteps = torch.arange(num_inference_steps - 1, -1, -1)

    def scale_model_input(self, sample, timestep):
        return sample

    def step(self, model_output, timestep, sample, generator=None):
        noise = randn_tensor(sample.shape, generator=generator, dtype=torch.float32)
        return SimpleNamespace(prev_sample=noise)


class Plain(Recorder):
    """As above, but its step takes no generator."""

    def step(self, model_output, timestep, sample):
        return SimpleNamespace(prev_sample=sample - 0.1 * model_output)


def test_records_are_chained(conditional_model, sampler):
    steps = walk(conditional_model(), sampler)
    assert [step.index for step in steps] == list(range(len(steps)))
    assert all(type(step.t) is int for step in steps)
    assert steps[0].t == 999
    for step, following in itertools.pairwise(steps):
        assert torch.equal(step.z_next, following.z_t)
        assert step.t >= following.t


def test_the_parts_of_a_record_fit_together(conditional_model, sampler):
    """z_t must be the mixture of z_0_pred and noise_pred that the forward process makes at t, in every sampler."""
    model = conditional_model()
    for step in walk(model, sampler):
        signal_rate, noise_rate = model.schedule.rates(torch.tensor([step.t]), step.z_t)
        torch.testing.assert_close(
            signal_rate * step.z_0_pred + noise_rate * step.noise_pred, step.z_t, rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("prediction", ["eps", "z_0", "v"])
def test_predictions_are_what_the_network_said(conditional_model, prediction):
    model = conditional_model(prediction=prediction)
    step = walk(model, make_scheduler("ddim", CONFIG, prediction))[2]
    t = torch.tensor([step.t])
    output = model.bind(None, t)(step.z_t, 0)
    for target, found in (("z_0", step.z_0_pred), ("eps", step.noise_pred)):
        expected = convert(output, step.z_t, t, model.schedule, source=prediction, target=target)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_last_step_of_a_first_order_walk_ends_at_its_clean_latent(conditional_model):
    for name in ("ddpm", "ddim", "euler", "dpm++2m", "unipc", "lcm"):
        step = walk(conditional_model(), make_scheduler(name, CONFIG, "eps"))[-1]
        torch.testing.assert_close(step.z_next, step.z_0_pred, rtol=0, atol=1e-3)


def test_every_walk_starts_from_the_seeds_noise(conditional_model, sampler):
    """Up to the signal that z_T would hold, which Euler and its kin leave out: sqrt(1 - abar_T) = 0.99993."""
    z_t = walk(conditional_model(), sampler, seeds=[3, 4])[0].z_t
    torch.testing.assert_close(z_t, sample_noise(SHAPE, [3, 4]).double(), rtol=1e-4, atol=0)


def test_an_image_does_not_depend_on_its_batch(conditional_model, sampler):
    batch = walk(conditional_model(), sampler, seeds=[7, 3, 11])
    single = walk(conditional_model(), sampler, seeds=[3])
    for together, alone in zip(batch, single, strict=True):
        torch.testing.assert_close(together.z_next[1:2], alone.z_next, rtol=0, atol=1e-12)
    assert not torch.equal(batch[-1].z_next[0], batch[-1].z_next[1])


def test_noise_on_the_way_is_a_function_of_seed_and_position(conditional_model):
    batch = walk(conditional_model(dtype=torch.float32), Recorder(), seeds=[7, 3, 11])
    single = walk(conditional_model(dtype=torch.float32), Recorder(), seeds=[3])
    for step, alone in zip(batch, single, strict=True):
        assert torch.equal(step.z_next, sample_noise(SHAPE, [7, 3, 11], stream=step.index))
        assert torch.equal(step.z_next[1:2], alone.z_next)
    assert not torch.equal(batch[0].z_next, batch[1].z_next)


def test_any_object_with_the_protocol_drops_in(conditional_model):
    assert len(walk(conditional_model(), Plain())) == 6
    for scheduler in (
        diffusers.DPMSolverSinglestepScheduler(trained_betas=BETAS),
        diffusers.EulerDiscreteScheduler(trained_betas=BETAS),  # visits places between the steps
        diffusers.DPMSolverMultistepScheduler(trained_betas=BETAS, use_karras_sigmas=True),
        diffusers.DDIMScheduler(trained_betas=BETAS, steps_offset=1, set_alpha_to_one=False, clip_sample=False),
    ):
        assert walk(conditional_model(), scheduler)[-1].z_next.isfinite().all()


@pytest.mark.parametrize("prediction", ["z_0", "v"])
def test_a_scheduler_made_for_another_prediction_gives_the_right_latent(conditional_model, prediction):
    """diffusers would read v as eps without a word; here the output is restated as what the scheduler expects."""
    model = conditional_model(prediction=prediction)
    settings = {"trained_betas": BETAS, "clip_sample": False, "timestep_spacing": "trailing"}
    for_eps = walk(model, diffusers.DDIMScheduler(**settings, prediction_type="epsilon"), num_steps=5)
    fitting = walk(model, make_scheduler("ddim", CONFIG, prediction), num_steps=5)
    torch.testing.assert_close(for_eps[-1].z_next, fitting[-1].z_next, rtol=0, atol=1e-3)


def test_the_same_request_gives_the_same_bits(conditional_model, sampler):
    first, second = (walk(conditional_model(), sampler, seeds=[5, 6]) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.z_next, other.z_next)
        assert torch.equal(one.z_0_pred, other.z_0_pred)


def test_interleaved_walks_do_not_disturb_each_other(conditional_model, sampler):
    alone = walk(conditional_model(), sampler, seeds=[1])
    pair = [sample_steps(conditional_model(), None, sampler, num_steps=6, seeds=[seed], shape=SHAPE) for seed in (1, 2)]
    mixed = [step for step, _ in zip(*pair, strict=True)]
    assert torch.equal(mixed[-1].z_next, alone[-1].z_next)


def test_inputs_are_left_alone(conditional_model, sampler):
    cond = Conditioning(vector=torch.ones(1, 1))
    start = torch.randn(1, *SHAPE)
    before = start.clone()
    timesteps = sampler.timesteps.clone()
    walk(conditional_model(), sampler, cond=cond, start=(start, 2), guidance=Guidance(scale=2.0, negative=cond))
    assert torch.equal(start, before)
    assert torch.equal(cond.vector, torch.ones(1, 1))
    assert torch.equal(sampler.timesteps, timesteps)


def test_gradients_are_off_inside_and_untouched_outside(conditional_model):
    model = conditional_model()
    model.bind = lambda cond, timesteps, copies=1: lambda z_t, index: weight * z_t
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    for step in sample_steps(model, None, Plain(), num_steps=3, seeds=[1], shape=SHAPE):
        assert torch.is_grad_enabled()
        assert not step.z_next.requires_grad
    assert torch.is_grad_enabled()


def test_latents_are_kept_in_full_precision(conditional_model):
    steps = walk(conditional_model(dtype=torch.bfloat16), make_scheduler("ddim", CONFIG, "eps"))
    assert {step.z_next.dtype for step in steps} == {torch.float32}
    assert walk(conditional_model(), make_scheduler("ddim", CONFIG, "eps"))[-1].z_next.dtype == torch.float64


@pytest.mark.parametrize("name", ["ddpm", "ddim", "euler", "euler-a", "heun", "lcm"])
def test_beginning_inside_continues_the_same_walk(conditional_model, name):
    """Exactly, for samplers without history; stochastic ones find the same noise because it belongs to the position."""
    scheduler = make_scheduler(name, CONFIG, "eps")
    whole = walk(conditional_model(), scheduler)
    middle = whole[2]
    rest = walk(conditional_model(), scheduler, start=(middle.z_t, middle.index))
    assert [step.t for step in rest] == [step.t for step in whole[2:]]
    for step, expected in zip(rest, whole[2:], strict=True):
        torch.testing.assert_close(step.z_next, expected.z_next, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if not sampler.stochastic])
@pytest.mark.parametrize("index", [1, 2])
def test_beginning_inside_reaches_the_solution(gaussian_model, name, index):
    """From any position, the rest is a walk of its own: no history, no half-finished step may be taken for granted."""
    model, scheduler = gaussian_model(), make_scheduler(name, CONFIG, "eps")
    z_t = torch.linspace(-1, 1, 32, dtype=torch.float64).reshape(1, *SHAPE)
    steps = walk(model, scheduler, num_steps=30, start=(z_t, index))
    exact = model.solve(z_t, model.schedule.snr(torch.tensor(steps[0].t)).rsqrt())
    torch.testing.assert_close(steps[0].z_t, z_t, rtol=1e-5, atol=1e-6)
    assert (steps[-1].z_next - exact).abs().max() < 0.1


@pytest.mark.parametrize("num_steps", [0, -1, 1001, True, 20.0, "20", None])
def test_a_bad_number_of_steps_is_named(conditional_model, num_steps):
    with pytest.raises(RequestError, match=f"num_steps is {num_steps!r}; it must be an integer from 1 to 1000"):
        sample_steps(conditional_model(), None, Plain(), num_steps=num_steps, seeds=[1], shape=SHAPE)


@pytest.mark.parametrize("seed", [-1, 2**32, True, 1.0, "7", None, float("nan")])
def test_a_bad_seed_is_named(conditional_model, seed):
    with pytest.raises(RequestError, match=f"seed is {seed!r}; it must be an integer from 0 to 4294967295"):
        sample_steps(conditional_model(), None, Plain(), num_steps=2, seeds=[1, seed], shape=SHAPE)


def test_extreme_seeds_are_fine(conditional_model):
    assert walk(conditional_model(), Plain(), seeds=[0, 2**32 - 1])[-1].z_next.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"seeds": []}, RequestError, "seeds is empty"),
        ({"seeds": [1, 2], "cond": Conditioning(vector=torch.ones(1, 1))}, RequestError, "2 seeds for 1 conditions"),
        ({"start": (torch.zeros(1, *SHAPE), -1)}, RequestError, "start index is -1; .* 0 to 5"),
        ({"start": (torch.zeros(1, *SHAPE), 6)}, RequestError, "start index is 6; .* 0 to 5"),
        ({"start": (torch.zeros(1, *SHAPE), True)}, RequestError, "start index is True; .* 0 to 5"),
        ({"start": (torch.zeros(1, 2, 4, 5), 1)}, ShapeError, r"start has shape \(1, 2, 4, 5\); 1 seeds need \(1, 2"),
    ],
)
def test_other_bad_requests_are_named_before_the_first_step(conditional_model, changes, error, message):
    model = conditional_model()
    request = {"cond": None, "scheduler": Plain(), "num_steps": 6, "seeds": [1], "shape": SHAPE} | changes
    with pytest.raises(error, match=message):
        sample_steps(model, **request)
    assert model.evaluations == []


def test_a_scheduler_that_cannot_do_it_is_named(conditional_model):
    scheduler = diffusers.EulerDiscreteScheduler(timestep_spacing="trailing")
    with pytest.raises(ConfigError, match="visits t = -1"):
        sample_steps(conditional_model(), None, scheduler, num_steps=61, seeds=[1], shape=SHAPE)
    with pytest.raises(ConfigError, match="LCMScheduler refuses num_steps 100: .*original_steps"):
        sample_steps(conditional_model(), None, diffusers.LCMScheduler(), num_steps=100, seeds=[1], shape=SHAPE)
