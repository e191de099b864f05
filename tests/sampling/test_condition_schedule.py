"""Conditions that change over the walk: which holds where, and that the walk follows."""

import pytest
import torch

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.sampling import ConditionSchedule, Guidance, make_scheduler, sample_steps
from ldm_lab.sampling.guidance import bind_guided

RED, BLUE, NULL = (Conditioning(vector=torch.tensor([[value]])) for value in (0.5, -1.0, 0.1))
BOTH = ConditionSchedule(conditions=(RED, BLUE), starts=(0.0, 0.3))


@pytest.mark.parametrize(
    ("num_steps", "firsts"), [(10, 3), (5, 2), (1, 1), (1000, 300)], ids="on a step,between two,one step,all".split(",")
)
def test_a_share_is_a_number_of_steps(num_steps, firsts):
    assert BOTH.places(torch.arange(num_steps, 0, -1)) == [0] * firsts + [1] * (num_steps - firsts)


def test_every_share_of_whole_steps_begins_at_that_step():
    for num_steps in range(1, 200):
        for step in (1, num_steps // 3, num_steps - 1):
            if 0 < step < num_steps:
                cond = ConditionSchedule(conditions=(RED, BLUE), starts=(0.0, step / num_steps))
                assert cond.places(torch.arange(num_steps, 0, -1)).index(1) == step


def test_a_step_visited_twice_is_one_step():
    timesteps = torch.tensor([900, 700, 700, 500, 500, 300, 300, 100, 100])
    half = ConditionSchedule(conditions=(RED, BLUE), starts=(0.0, 0.4))
    assert half.places(timesteps) == [0, 0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpm++2m"])
@pytest.mark.parametrize("guidance", [Guidance(), Guidance(scale=3.0, negative=NULL, interval=(0.0, 0.5))])
def test_each_step_predicts_under_the_condition_that_holds_there(conditional_model, sampler, guidance):
    model = conditional_model()
    scheduler = make_scheduler(sampler, model.schedule.config, "eps")
    walk = {"num_steps": 10, "seeds": [3], "shape": (1, 4, 4), "guidance": guidance}
    steps = list(sample_steps(model, BOTH, scheduler, **walk))
    plain = list(sample_steps(model, RED, scheduler, **walk))
    timesteps = torch.tensor([step.t for step in steps])
    for step, place in zip(steps, BOTH.places(timesteps), strict=True):
        noise = bind_guided(model, BOTH.conditions[place], timesteps, guidance)(step.z_t, step.index)
        torch.testing.assert_close(step.noise_pred, noise)
    agree = [torch.equal(step.z_next, other.z_next) for step, other in zip(steps, plain, strict=True)]
    assert agree == [place == 0 for place in BOTH.places(timesteps)]


def test_a_schedule_of_one_condition_is_that_condition(conditional_model):
    z_t, timesteps = torch.randn(1, 1, 4, 4, dtype=torch.float64), torch.tensor([900, 100])
    alone = ConditionSchedule(conditions=(RED,), starts=(0.0,))
    predictions = [bind_guided(conditional_model(), cond, timesteps, Guidance())(z_t, 1) for cond in (alone, RED)]
    assert torch.equal(*predictions)


@pytest.mark.parametrize("starts", [(0.0,), (0.1, 0.5), (0.0, 0.0), (0.0, 1.0), (0.0, -0.5), (0.0, float("nan"))])
def test_starts_that_make_no_sense_are_named(starts):
    with pytest.raises(RequestError, match=f"2 conditions start at .*{starts[-1]}"):
        ConditionSchedule(conditions=(RED, BLUE), starts=starts)


def test_conditions_of_different_batches_are_refused():
    with pytest.raises(RequestError, match=r"batch sizes \[1, 2\]"):
        ConditionSchedule(conditions=(RED, BLUE.repeat(2)), starts=(0.0, 0.5))
