import itertools

import pytest
import torch

from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.diffusion import ScheduleConfig
from ldm_lab.sampling import SAMPLERS, Edit, edit_steps, make_scheduler, sample_steps, steps_walked

CONFIG = ScheduleConfig()
SEEDS = (3, 4)
Z_0 = torch.linspace(-2, 2, 64, dtype=torch.float64).reshape(2, 2, 4, 4)


@pytest.fixture(params=[name for name in SAMPLERS if name != "lms"])  # lms takes its time
def sampler(request):
    return make_scheduler(request.param, CONFIG, "eps")


def edited(model, scheduler, num_steps=6, **edit):
    return list(edit_steps(model, None, scheduler, Edit(z_0=Z_0, **edit), num_steps=num_steps, seeds=SEEDS))


def generated(model, scheduler, num_steps=6):
    return list(sample_steps(model, None, scheduler, num_steps=num_steps, seeds=SEEDS, shape=Z_0.shape[1:]))


def assert_same_walk(steps, expected):
    assert [step.t for step in steps] == [step.t for step in expected]
    for step, other in zip(steps, expected, strict=True):
        for name in ("z_t", "z_0_pred", "noise_pred", "z_next"):
            assert torch.equal(getattr(step, name), getattr(other, name))


def test_strength_1_is_generation(conditional_model, sampler):
    assert_same_walk(edited(conditional_model(), sampler), generated(conditional_model(), sampler))


@pytest.mark.parametrize("strength", [0.0, 0.05])
def test_strength_0_walks_nothing(conditional_model, sampler, strength):
    model = conditional_model()
    assert edited(model, sampler, strength=strength) == []
    assert model.evaluations == []


def test_strength_is_the_share_of_steps_walked(conditional_model, sampler):
    whole = [step.t for step in generated(conditional_model(), sampler, num_steps=10)]
    for strength, num_taken in ((0.1, 1), (0.58, 6), (0.64, 6), (0.95, 10)):
        steps = edited(conditional_model(), sampler, num_steps=10, strength=strength)
        assert sorted({step.t for step in steps}) == sorted(set(whole))[:num_taken]
        assert steps_walked(10, strength) == num_taken


def test_the_walk_begins_with_the_diffused_latent(conditional_model, sampler):
    model = conditional_model()
    first = edited(model, sampler, strength=0.5)[0]
    signal_rate, noise_rate = model.schedule.rates(torch.tensor([first.t] * 2), Z_0)
    expected = signal_rate * Z_0 + noise_rate * sample_noise(Z_0.shape[1:], SEEDS).double()
    torch.testing.assert_close(first.z_t, expected, rtol=0, atol=1e-5)  # the schedulers' tables are fp32
    assert (first.z_t - sample_noise(Z_0.shape[1:], SEEDS)).abs().max() > 0.1


def test_less_strength_stays_closer_to_the_image(gaussian_model):
    scheduler = make_scheduler("ddim", CONFIG, "eps")
    ends = [edited(gaussian_model(), scheduler, 20, strength=strength)[-1].z_next for strength in (0.1, 0.4, 0.7, 1.0)]
    distances = [(end - Z_0).square().mean().item() for end in ends]
    assert distances == sorted(distances)
    assert distances[0] < 0.3 * distances[-1]


def test_image_to_image_of_gaussian_data_has_its_known_answer(gaussian_model):
    """The flow keeps the number of standard deviations from the mean; a fine walk from z_t must find it."""
    model = gaussian_model()
    steps = edited(model, make_scheduler("ddim", CONFIG, "eps"), 500, strength=0.5)
    exact = model.solve(steps[0].z_t, model.schedule.snr(torch.tensor(steps[0].t)).rsqrt())
    torch.testing.assert_close(steps[-1].z_next, exact, rtol=0, atol=0.02)


def test_a_full_mask_is_generation(conditional_model, sampler):
    steps = edited(conditional_model(), sampler, mask=torch.ones(1, 1, 4, 4))
    assert_same_walk(steps, generated(conditional_model(), sampler))


def test_a_full_mask_is_image_to_image_at_less_strength(conditional_model, sampler):
    steps = edited(conditional_model(), sampler, strength=0.5, mask=torch.ones(2, 1, 4, 4))
    assert_same_walk(steps, edited(conditional_model(), sampler, strength=0.5))


def test_an_empty_mask_ends_with_the_latent(conditional_model, sampler):
    for strength in (1.0, 0.5):
        steps = edited(conditional_model(), sampler, strength=strength, mask=torch.zeros(1, 1, 4, 4))
        assert torch.equal(steps[-1].z_next, Z_0)


def test_known_parts_follow_the_straight_way_down_and_end_exactly(conditional_model, sampler):
    mask = (torch.arange(16).reshape(1, 1, 4, 4) % 3 == 0).double()
    model = conditional_model()
    steps = edited(model, sampler, mask=mask)
    known = (1 - mask).bool().expand_as(Z_0)
    for step in steps[1:]:
        signal_rate, noise_rate = model.schedule.rates(torch.tensor([step.t] * 2), Z_0)
        expected = signal_rate * Z_0 + noise_rate * sample_noise(Z_0.shape[1:], SEEDS).double()
        torch.testing.assert_close(step.z_t[known], expected[known], rtol=0, atol=1e-5)
    assert torch.equal(steps[-1].z_next[known], Z_0[known])
    assert (steps[-1].z_next[~known] != Z_0[~known]).all()


def test_records_stay_true(conditional_model, sampler):
    model = conditional_model()
    steps = edited(model, sampler, mask=torch.eye(4)[None, None])
    for step in steps:
        signal_rate, noise_rate = model.schedule.rates(torch.tensor([step.t] * 2), step.z_t)
        mixture = signal_rate * step.z_0_pred + noise_rate * step.noise_pred
        torch.testing.assert_close(mixture, step.z_t, rtol=0, atol=1e-4)
    for step, following in itertools.pairwise(steps):
        assert torch.equal(step.z_next, following.z_t)


def test_a_soft_mask_blends(conditional_model):
    last = edited(conditional_model(), make_scheduler("ddim", CONFIG, "eps"), mask=torch.full((1, 1, 4, 4), 0.25))[-1]
    torch.testing.assert_close(last.z_next, 0.25 * last.z_0_pred + 0.75 * Z_0, rtol=0, atol=1e-6)


def test_each_image_has_its_own_mask_and_does_not_depend_on_the_others(conditional_model, sampler):
    masks = torch.stack([torch.eye(4)[None], torch.ones(1, 4, 4) - torch.eye(4)])
    batch = edited(conditional_model(), sampler, strength=0.7, mask=masks)
    edit = Edit(z_0=Z_0[1:], strength=0.7, mask=masks[1:])
    alone = list(edit_steps(conditional_model(), None, sampler, edit, num_steps=6, seeds=SEEDS[1:]))
    torch.testing.assert_close(batch[-1].z_next[1:], alone[-1].z_next, rtol=0, atol=1e-12)


def test_inputs_are_left_alone(conditional_model, sampler):
    z_0, mask = Z_0.clone(), torch.eye(4)[None, None]
    edit = Edit(z_0=z_0, mask=mask, strength=0.5)
    list(edit_steps(conditional_model(), None, sampler, edit, num_steps=4, seeds=SEEDS))
    assert torch.equal(z_0, Z_0)
    assert torch.equal(mask, torch.eye(4)[None, None])


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), float("inf"), True, "0.5", None])
def test_a_bad_strength_is_named(strength):
    with pytest.raises(RequestError, match=f"strength is {strength!r}"):
        Edit(z_0=Z_0, strength=strength)


def test_masks_of_another_size_are_named_with_both_sizes():
    for shape in ((1, 1, 4, 5), (3, 1, 4, 4), (1, 2, 4, 4), (1, 4, 4)):
        with pytest.raises(ShapeError, match=r"mask has shape .*, the latents \(2, 2, 4, 4\)"):
            Edit(z_0=Z_0, mask=torch.ones(shape))
    with pytest.raises(RequestError, match="mask holds values from 0.0 to 255.0; 1 repaints, 0 keeps"):
        Edit(z_0=Z_0, mask=255.0 * torch.eye(4)[None, None])
    with pytest.raises(RequestError, match="mask holds values from nan"):
        Edit(z_0=Z_0, mask=torch.full((1, 1, 4, 4), float("nan")))
    with pytest.raises(ShapeError, match=r"z_0 has shape \(2, 4, 4\)"):
        Edit(z_0=Z_0[0])


def test_other_bad_requests_are_named(conditional_model):
    model, scheduler = conditional_model(), make_scheduler("ddim", CONFIG, "eps")
    with pytest.raises(RequestError, match="there are 1 seeds for 2 latents"):
        edit_steps(model, None, scheduler, Edit(z_0=Z_0), num_steps=4, seeds=[1])
    with pytest.raises(RequestError, match="num_steps is 0"):
        edit_steps(model, None, scheduler, Edit(z_0=Z_0), num_steps=0, seeds=SEEDS)
    with pytest.raises(RequestError, match="seed is -1"):
        edit_steps(model, None, scheduler, Edit(z_0=Z_0, strength=0.0), num_steps=4, seeds=[1, -1])
