import math

import diffusers
import pytest
import torch
from diffusers.schedulers.scheduling_repaint import RePaintScheduler

from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.sampling import Edit, Resampling, edit_steps, make_scheduler, sample_steps
from ldm_lab.sampling.masked import resampled_places

CONFIG = ScheduleConfig()
COVARIANCE = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)


class PairsModel:
    """The best denoiser of Gaussian pairs (columns 2j and 2j + 1) with mean 0 and ``COVARIANCE``."""

    device, dtype, prediction = torch.device("cpu"), torch.float64, "eps"

    def __init__(self):
        self.schedule = NoiseSchedule(CONFIG)

    def bind(self, cond, timesteps, *, copies=1):
        def denoise(z_t, index):
            abar = self.schedule.alphas_cumprod[timesteps[index]]
            pairs = z_t.unflatten(-1, (-1, 2))
            total = abar * COVARIANCE + (1 - abar) * torch.eye(2)
            return ((1 - abar).sqrt() * pairs @ torch.linalg.inv(total)).flatten(-2)

        return denoise


def repaired(name, *, resampling=None, num_steps=20, pairs=1000, known=1.5):
    """Odd columns, made anew beside even ones that are all ``known``."""
    z_0 = torch.full((1, 1, 1, 2 * pairs), known, dtype=torch.float64)
    mask = torch.tensor([0.0, 1.0]).repeat(pairs).reshape(1, 1, 1, -1)
    scheduler = make_scheduler(name, CONFIG, "eps")
    edit = Edit(z_0=z_0, mask=mask, resampling=resampling)
    *_, last = edit_steps(PairsModel(), None, scheduler, edit, num_steps=num_steps, seeds=[1])
    return last.z_next[..., 1::2].flatten()


def test_resampling_brings_the_new_part_to_its_distribution_given_the_known_one():
    """p(new | known = 1.5) = N(1.35, 0.19). Plain masking is far from it; what is left is due to the few steps."""
    mean, deviation = 0.9 * 1.5, math.sqrt(1 - 0.9**2)
    plain = repaired("ddpm", num_steps=50)
    resampled = repaired("ddpm", num_steps=50, resampling=Resampling(jump_length=5, num_resamplings=4))
    assert plain.mean() < mean - 0.4
    assert resampled.mean() == pytest.approx(mean, abs=0.2)
    assert resampled.std() == pytest.approx(deviation, abs=0.07)


def test_jumps_of_one_step_help_too():
    plain, resampled = (
        repaired("ddpm", resampling=Resampling(jump_length=1, num_resamplings=count)).mean() for count in (1, 3)
    )
    assert 1.35 - resampled < 0.7 * (1.35 - plain)


def test_places_are_those_of_the_published_code():
    """diffusers holds a copy of the paper's schedule; it lists the noise levels passed on the way up, too."""
    for num_steps, jump_length, num_resamplings in ((250, 10, 10), (20, 5, 3), (7, 1, 2), (9, 4, 1), (6, 5, 2)):
        scheduler = RePaintScheduler(num_train_timesteps=num_steps)
        scheduler.set_timesteps(num_steps, jump_length=jump_length, jump_n_sample=num_resamplings)
        levels = [*scheduler.timesteps.tolist(), -1]
        expected = [num_steps - 1 - level for level, after in zip(levels, levels[1:]) if after < level]  # noqa: B905, RUF007
        resampling = Resampling(jump_length=jump_length, num_resamplings=num_resamplings)
        assert resampled_places(num_steps, resampling) == expected


def test_single_steps_are_repeated_as_in_algorithm_1():
    """T = 4, U = 3: every step three times but the last."""
    assert resampled_places(4, Resampling(jump_length=1, num_resamplings=3)) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert resampled_places(4, None) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["ddpm", "ddim", "euler", "euler-a", "dpm++2m", "unipc", "lcm"])
def test_the_walk_goes_up_and_down_and_its_records_stay_true(gaussian_model, name):
    z_0, mask = torch.ones(2, 1, 4, 4, dtype=torch.float64), torch.eye(4)[None, None]
    edit = Edit(z_0=z_0, mask=mask, strength=0.8, resampling=Resampling(jump_length=3, num_resamplings=2))
    model, scheduler = gaussian_model(), make_scheduler(name, CONFIG, "eps")
    steps = list(edit_steps(model, None, scheduler, edit, num_steps=10, seeds=[1, 2]))
    straight = list(sample_steps(model, None, scheduler, num_steps=10, seeds=[1], shape=(1, 4, 4)))
    places = resampled_places(8, edit.resampling)
    assert [step.t for step in steps] == [straight[2 + place].t for place in places]
    assert [step.index for step in steps] == list(range(2, 2 + len(places)))
    for step in steps:
        signal_rate, noise_rate = model.schedule.rates(torch.tensor([step.t] * 2), step.z_t)
        mixture = signal_rate * step.z_0_pred + noise_rate * step.noise_pred
        torch.testing.assert_close(mixture, step.z_t, rtol=0, atol=1e-4)
    assert torch.equal(steps[-1].z_next[mask.expand_as(z_0) == 0], z_0[mask.expand_as(z_0) == 0])


@pytest.mark.parametrize("name", ["ddim", "euler"])
def test_a_jump_diffuses_to_the_level_that_it_reaches(gaussian_model, name):
    """With a full mask and the best denoiser, all that is visited keeps the spread that data have at that level."""
    model, count = gaussian_model(), 20_000
    edit = Edit(
        z_0=torch.zeros(1, 1, 1, count, dtype=torch.float64),
        mask=torch.ones(1, 1, 1, count),
        resampling=Resampling(jump_length=15, num_resamplings=2),
    )
    walk = edit_steps(model, None, make_scheduler(name, CONFIG, "eps"), edit, num_steps=60, seeds=[1])
    for step in walk:
        abar = model.schedule.alphas_cumprod[step.t].item()
        assert step.z_t.mean().item() == pytest.approx(math.sqrt(abar) * model.mean, abs=0.06)
        assert step.z_t.std().item() == pytest.approx(math.sqrt(abar * model.std**2 + 1 - abar), abs=0.06)


def test_the_same_request_gives_the_same_bits_and_seeds_matter(gaussian_model):
    edit = Edit(
        z_0=torch.ones(1, 1, 4, 4),
        mask=torch.eye(4)[None, None],
        resampling=Resampling(jump_length=2, num_resamplings=2),
    )
    ends = []
    for seed in (1, 1, 2):
        scheduler = make_scheduler("ddim", CONFIG, "eps")
        *_, last = edit_steps(gaussian_model(), None, scheduler, edit, num_steps=6, seeds=[seed])
        ends.append(last.z_next)
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_schedulers_of_the_users_own_can_be_masked_and_resampled(gaussian_model):
    betas = NoiseSchedule(CONFIG).betas.tolist()
    for cls in (diffusers.DDIMScheduler, diffusers.EulerDiscreteScheduler):
        scheduler = cls(trained_betas=betas, timestep_spacing="trailing")
        edit = Edit(
            z_0=torch.ones(1, 1, 4, 4),
            mask=torch.eye(4)[None, None],
            resampling=Resampling(jump_length=2, num_resamplings=3),
        )
        steps = list(edit_steps(gaussian_model(), None, scheduler, edit, num_steps=5, seeds=[1]))
        assert len(steps) == len(resampled_places(5, edit.resampling))
        assert torch.equal(steps[-1].z_next[edit.mask == 0], edit.z_0[edit.mask == 0].double())


def test_bad_resampling_is_named(gaussian_model):
    for values in ({"jump_length": 0}, {"jump_length": 2.0}, {"num_resamplings": 0}, {"num_resamplings": 101}):
        (name, value), *_ = values.items()
        with pytest.raises(RequestError, match=f"{name} is {value}"):
            Resampling(**values)
    z_0 = torch.ones(1, 1, 4, 4)
    with pytest.raises(RequestError, match="give a mask, or no resampling"):
        Edit(z_0=z_0, resampling=Resampling())
    edit = Edit(z_0=z_0, mask=torch.ones(1, 1, 4, 4), resampling=Resampling(jump_length=5))
    with pytest.raises(RequestError, match="jump_length is 5, but the walk has only 5 steps"):
        edit_steps(gaussian_model(), None, make_scheduler("ddim", CONFIG, "eps"), edit, num_steps=5, seeds=[1])
    for name in ("heun", "plms"):
        with pytest.raises(RequestError, match="resampling needs a sampler that visits every step once"):
            edit_steps(gaussian_model(), None, make_scheduler(name, CONFIG, "eps"), edit, num_steps=12, seeds=[1])
