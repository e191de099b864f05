import dataclasses

import pytest
import torch

from ldm_lab.diffusion import ScheduleConfig
from ldm_lab.sampling import SAMPLERS, Continuation, Guidance, Walk, exact_outputs, make_scheduler

CONFIG = ScheduleConfig()
SEEDS = (3, 4)


def make_walk(model, sampler="dpm++2m", prediction="eps"):
    scheduler = make_scheduler(sampler, CONFIG, prediction)
    return Walk(model=model, cond=None, scheduler=scheduler, num_steps=8, seeds=SEEDS, shape=(2, 4, 4))


def go_on(walk, position, outputs):
    guidance = Continuation(position=position, guidance=walk.guidance, earlier=walk, outputs=outputs)
    return list(dataclasses.replace(walk, guidance=guidance).steps())


@pytest.mark.parametrize("prediction", ["eps", "z_0", "v"])
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "lms"])  # lms takes its time
def test_the_walk_goes_on_as_if_it_had_never_been_left(conditional_model, sampler, prediction):
    model = conditional_model(prediction=prediction)
    walk = make_walk(model, sampler, prediction)
    whole = list(walk.steps())
    model.evaluations.clear()
    steps = go_on(walk, 5, exact_outputs(whole[:5]))
    assert len(model.evaluations) == len(whole) - 5
    for step, expected in zip(steps, whole, strict=True):
        assert torch.equal(step.z_next, expected.z_next)


def test_what_is_not_known_is_asked_of_the_earlier_walk(conditional_model):
    """With another guide from there on, so that asking the wrong one is seen."""
    model = conditional_model()
    earlier = make_walk(model)
    whole = list(earlier.steps())
    model.evaluations.clear()
    halved = dataclasses.replace(earlier, guidance=Halved())
    guidance = Continuation(position=5, guidance=Halved(), earlier=earlier, outputs=exact_outputs(whole[:3]))
    steps = list(dataclasses.replace(halved, guidance=guidance).steps())
    assert len(model.evaluations) == 2 + 3
    for step, expected in zip(steps[:5], whole[:5], strict=True):
        assert torch.equal(step.z_next, expected.z_next)
    assert not torch.allclose(steps[5].z_next, whole[5].z_next)


class Halved:
    def bind(self, model, cond, timesteps):
        predict = Guidance().bind(model, cond, timesteps)
        return lambda z_t, index: 0.5 * predict(z_t, index)


def test_rounded_records_do_not_hold_what_the_network_said(conditional_model):
    whole = list(make_walk(conditional_model()).steps())
    assert exact_outputs(whole).keys() == set(range(8))
    assert exact_outputs([step.map(torch.Tensor.half) for step in whole]) == {}
