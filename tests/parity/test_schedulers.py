"""Whole trajectories of the catalogue against diffusers' schedulers in a loop written by hand.

Deliberate differences, which these tests leave out:

* Numbers of steps that do not divide 1000: diffusers' own spacing goes wrong there, see ``Respaced``.
* PLMS on v (diffusers extrapolates v, we restate it as eps) and Euler ancestral on z_0 (diffusers has none).
* Cosine schedules with eps and zero terminal SNR: the catalogue begins with, or adds, a trace of signal.
* LCM takes its steps from all 1000 instead of 50.
* DDPM's last step: diffusers adds noise of standard deviation 1e-10 unless t = 0, here there is none.
"""

import diffusers
import pytest
import torch

from ldm_lab.core.seeding import generator, sample_noise
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.sampling import make_scheduler, sample_steps

CONFIG = ScheduleConfig()
SHAPE = (2, 3, 3)
SEEDS = [11, 12]
PREDICTIONS = {"eps": "epsilon", "z_0": "sample", "v": "v_prediction"}
REFERENCES = {
    "ddpm": (diffusers.DDPMScheduler, {"clip_sample": False}),
    "ddim": (diffusers.DDIMScheduler, {"clip_sample": False}),
    "plms": (diffusers.PNDMScheduler, {"skip_prk_steps": True, "set_alpha_to_one": True}),
    "dpm++2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "dpm++2m-sde": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler-a": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "lcm": (diffusers.LCMScheduler, {"original_inference_steps": 1000}),
}
STOCHASTIC = ("ddpm", "dpm++2m-sde", "euler-a", "lcm")
CASES = [
    (name, prediction)
    for name in REFERENCES
    for prediction in PREDICTIONS
    if (name, prediction) not in (("plms", "z_0"), ("plms", "v"), ("euler-a", "z_0"))
]


class Network:
    """Any smooth function of the latent and the step will do."""

    device = torch.device("cpu")

    def __init__(self, prediction="eps", dtype=torch.float64):
        self.schedule, self.prediction, self.dtype = NoiseSchedule(CONFIG), prediction, dtype

    def __call__(self, z_t, t):
        return 0.8 * torch.tanh(z_t) + 0.2 * torch.cos(3 * z_t.flip(-1) + t / 500)

    def bind(self, cond, timesteps, *, copies=1):
        return lambda z_t, index: self(z_t, timesteps[index].item())


def trajectory_by_hand(scheduler, network, num_steps, *, stochastic):
    """(what the network saw, sample after the step) at every position."""
    scheduler.set_timesteps(num_steps)
    sample = sample_noise(SHAPE, SEEDS).to(network.dtype) * scheduler.init_noise_sigma
    trajectory = []
    for index, t in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(sample, t)
        noise = {"generator": [generator("noise", seed, index) for seed in SEEDS]} if stochastic else {}
        sample = scheduler.step(network(seen, t.item()), t, sample, **noise).prev_sample
        trajectory.append((seen, sample))
    return trajectory


def assert_same(steps, trajectory, tolerance, *, at_end=0.0):
    assert len(steps) == len(trajectory)
    for step, (seen, _) in zip(steps, trajectory, strict=True):
        torch.testing.assert_close(step.z_t, seen, rtol=0, atol=tolerance)
    torch.testing.assert_close(steps[-1].z_next, trajectory[-1][1], rtol=0, atol=max(tolerance, at_end))


def reference_of(name, prediction):
    cls, settings = REFERENCES[name]
    return cls(
        trained_betas=NoiseSchedule(CONFIG).betas.tolist(),
        prediction_type=PREDICTIONS[prediction],
        timestep_spacing="trailing",
        **settings,
    )


@pytest.mark.parametrize(("name", "prediction"), CASES)
def test_whole_trajectories(name, prediction):
    network, scheduler = Network(prediction), make_scheduler(name, CONFIG, prediction)
    reference = reference_of(name, prediction)
    for num_steps in (1, 5, 20, 50) if name != "lms" or prediction == "eps" else (1, 5):  # lms is slow
        trajectory = trajectory_by_hand(reference, network, num_steps, stochastic=name in STOCHASTIC)
        steps = list(sample_steps(network, None, scheduler, num_steps=num_steps, seeds=SEEDS, shape=SHAPE))
        assert_same(steps, trajectory, 1e-10, at_end=1e-9 if name == "ddpm" else 0.0)


@pytest.mark.parametrize("name", REFERENCES)
def test_whole_trajectories_in_single_precision(name):
    network, scheduler = Network(dtype=torch.float32), make_scheduler(name, CONFIG, "eps")
    trajectory = trajectory_by_hand(reference_of(name, "eps"), network, 10, stochastic=name in STOCHASTIC)
    steps = list(sample_steps(network, None, scheduler, num_steps=10, seeds=SEEDS, shape=SHAPE))
    assert_same(steps, trajectory, 1e-5)


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("name", REFERENCES)
def test_schedulers_of_the_users_own(name, spacing):
    """The loop follows the contract for any spacing, not only for those of the catalogue."""
    cls, settings = REFERENCES[name]
    scheduler = cls(trained_betas=NoiseSchedule(CONFIG).betas.tolist(), timestep_spacing=spacing, **settings)
    network = Network()
    steps = list(sample_steps(network, None, scheduler, num_steps=10, seeds=SEEDS, shape=SHAPE))
    assert_same(steps, trajectory_by_hand(scheduler, network, 10, stochastic=name in STOCHASTIC), 1e-10)


def test_ldms_own_ddim():
    """Leading, offset 1, ending at abar_0: with 20 steps t = 951, 901, …, 1."""
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.0015,
        beta_end=0.0195,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    steps = list(sample_steps(Network(), None, scheduler, num_steps=20, seeds=SEEDS, shape=SHAPE))
    assert [step.t for step in steps] == list(range(951, 0, -50))
    assert_same(steps, trajectory_by_hand(scheduler, Network(), 20, stochastic=False), 1e-10)


def test_the_comparison_can_fail():
    """The negative control: another eta, another trajectory."""
    reference = diffusers.DDPMScheduler(
        trained_betas=NoiseSchedule(CONFIG).betas.tolist(), clip_sample=False, timestep_spacing="trailing"
    )
    trajectory = trajectory_by_hand(reference, Network(), 5, stochastic=True)
    scheduler = make_scheduler("ddim", CONFIG, "eps")
    steps = list(sample_steps(Network(), None, scheduler, num_steps=5, seeds=SEEDS, shape=SHAPE))
    with pytest.raises(AssertionError, match="not close"):
        assert_same(steps, trajectory, 1e-2)
