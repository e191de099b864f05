"""Guidance taken apart, against predictions that are asked for one by one and against the walk itself."""

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.probes import GuidanceStep, clipped_share, decompose_guidance, record_guidance
from ldm_lab.sampling import Guidance, Rescaled, sample_steps
from tests.probes.conftest import NEGATIVES, PROMPTS

CLOSE = {"rtol": 0.0, "atol": 1e-5}  # fp32, other batches


@pytest.fixture(scope="module", params=["eps", "v", "z_0"])
def model(make_tiny_model, request):
    return make_tiny_model(prediction=request.param)


@torch.no_grad()
def test_both_predictions_are_those_of_the_network(model, walk):
    with record_guidance(model) as recording:
        steps = walk(model)
    assert [(part.index, part.t) for part in recording.steps] == [(step.index, step.t) for step in steps]
    for part, step in zip(recording.steps, steps, strict=True):
        t = torch.tensor([step.t] * 2)
        assert torch.equal(part.z_t, step.z_t)
        torch.testing.assert_close(part.positive, model.predict(step.z_t, t, model.condition(PROMPTS)), **CLOSE)
        torch.testing.assert_close(part.negative, model.predict(step.z_t, t, model.condition(NEGATIVES)), **CLOSE)
        assert (part.positive - part.negative).abs().max() > 1e-3  # negative control


@pytest.mark.parametrize("rescale", [0.0, 0.6])
def test_guided_they_are_what_the_walk_predicted(model, walk, rescale):
    with record_guidance(model) as recording:
        steps = walk(model, rescale=rescale)
    for part, step in zip(recording.steps, steps, strict=True):
        torch.testing.assert_close(part.z_0(scale=3.0, rescale=rescale), step.z_0_pred, rtol=1e-5, atol=1e-5)
        assert (part.z_0(scale=3.5, rescale=rescale) - step.z_0_pred).abs().max() > 1e-3


def test_noise_and_z_0_make_up_z_t(model, walk):
    with record_guidance(model) as recording:
        walk(model)
    for part in recording.steps:
        abar = model.schedule.alphas_cumprod[part.t]
        negative, positive = part.noise()
        for scale, eps in ((0.0, negative), (1.0, positive)):
            z_t = abar.sqrt() * part.z_0(scale=scale) + (1 - abar).sqrt() * eps
            torch.testing.assert_close(z_t.float(), part.z_t, rtol=1e-6, atol=1e-5)  # untrained, z_t grows to 200
        torch.testing.assert_close(part.difference(), positive - negative)


@torch.no_grad()
def test_a_stored_step_says_the_same_as_the_live_walk(model, walk):
    with record_guidance(model) as recording:
        steps = walk(model)
    cond, negative = model.condition(PROMPTS), model.condition(NEGATIVES)
    for live, step in zip(recording.steps, steps, strict=True):
        stored = decompose_guidance(model, step, cond, negative)
        torch.testing.assert_close(stored.positive, live.positive, **CLOSE)  # its time table has one row, not three
        torch.testing.assert_close(stored.negative, live.negative, **CLOSE)
        assert torch.equal(stored.z_t, live.z_t)
        assert (stored.index, stored.t, stored.signal_rate) == (live.index, live.t, live.signal_rate)


def test_taking_a_step_apart_costs_one_batch_of_two(tiny_model, begin):
    with torch.no_grad():
        cond, negative = tiny_model.condition(PROMPTS), tiny_model.condition(NEGATIVES)
    step, batches = next(begin(tiny_model)), []
    with tiny_model.unet.conv_out.register_forward_hook(lambda _, inputs, __: batches.append(len(inputs[0]))):
        part = decompose_guidance(tiny_model, step, cond, negative)
    assert batches == [4]
    assert not part.positive.requires_grad


@torch.no_grad()
def test_numbers_of_images_must_agree(tiny_model, begin):
    cond, step = tiny_model.condition(["a"]), next(begin(tiny_model))
    with pytest.raises(RequestError, match="there are 2 latents, 1 conditions, 1 negative conditions; give one"):
        decompose_guidance(tiny_model, step, cond, cond)


def test_norms_are_root_mean_squares(tiny_model, walk):
    with record_guidance(tiny_model) as recording:
        walk(tiny_model)
    norms = recording.norms()
    assert list(norms) == ["negative", "positive", "difference"]
    for place, part in enumerate(recording.steps):
        expected = {"negative": part.negative, "positive": part.positive, "difference": part.positive - part.negative}
        for name, values in expected.items():  # the model predicts eps
            for image in range(2):
                norm = sum(value**2 for value in values[image].flatten().tolist()) / values[image].numel()
                assert norms[name][place, image].item() == pytest.approx(norm**0.5, rel=1e-5)


def test_where_guidance_does_not_act_nothing_is_recorded(tiny_model, walk):
    with record_guidance(tiny_model) as recording:
        walk(tiny_model, interval=(0.0, 0.5))
    assert [part.index for part in recording.steps] == [0, 1]
    with record_guidance(tiny_model) as recording:
        walk(tiny_model, scale=1.0)
    assert recording.steps == []
    with pytest.raises(RequestError, match="no guidance was recorded; let a walk with a guidance scale other than 1"):
        recording.norms()


def test_the_share_that_clips_grows_with_the_scale():
    z_0 = torch.tensor([0.5, 2.0, -3.0, 5.0]).reshape(1, 1, 2, 2)
    zero = torch.zeros_like(z_0)
    step = GuidanceStep(
        index=0, t=1, z_t=zero, negative=zero, positive=z_0, prediction="z_0", signal_rate=0.6, noise_rate=0.8
    )
    shares = {scale: step.clipped_share(scale=scale).item() for scale in (0.0, 1.0, 1.5, 2.0, 4.0)}
    assert shares == {0.0: 0.0, 1.0: 0.25, 1.5: 0.5, 2.0: 0.5, 4.0: 0.75}  # the limit is 4
    assert step.clipped_share(scale=1.0, limit=2.5).item() == 0.5


def test_the_share_of_an_image_that_clips():
    x = torch.tensor([[-1.0, 1.0, 0.0, 1.5], [0.0, 0.0, 0.0, 0.0]])
    assert clipped_share(x, limit=1.0).tolist() == [0.25, 0.0]


@torch.no_grad()
def test_places_between_the_steps_have_the_rates_that_the_walk_has(make_tiny_model):
    """Schedulers with Karras' noise levels name fractional steps; the rates that belong to them are the walk's own."""
    model = make_tiny_model(prediction="v")
    config = model.config.schedule
    scheduler = EulerDiscreteScheduler(
        beta_schedule="scaled_linear",
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        prediction_type="v_prediction",
        use_karras_sigmas=True,
    )
    guidance = Guidance(scale=3.0, negative=model.condition(NEGATIVES))
    sizes = {"num_steps": 4, "seeds": [5, 6], "shape": (3, 8, 8), "guidance": guidance}
    with record_guidance(model) as recording:
        steps = list(sample_steps(model, model.condition(PROMPTS), scheduler, **sizes))
    assert any(part.t != int(part.t) for part in recording.steps)
    for part, step in zip(recording.steps, steps, strict=True):
        torch.testing.assert_close(part.z_0(scale=3.0), step.z_0_pred, rtol=1e-3, atol=1e-3)  # t is stated in fp32


def test_latents_of_another_scale_are_taken_apart_as_the_network_sees_them(make_tiny_model, walk):
    model = make_tiny_model(prediction="v")
    with record_guidance(model) as recording:
        steps = walk(model, around=Rescaled(model, scale=2.0))
    for part, step in zip(recording.steps, steps, strict=True):
        torch.testing.assert_close(2.0 * part.z_0(scale=3.0), step.z_0_pred, rtol=1e-3, atol=1e-3)


def test_a_model_in_half_precision(make_tiny_model, walk):
    model = make_tiny_model()
    model.unet.to(torch.bfloat16)
    with record_guidance(model) as recording:
        walk(model)
    assert {part.positive.dtype for part in recording.steps} == {torch.float32}


def test_conditions_of_other_kinds_are_refused(tiny_model, begin):
    other = Conditioning(vector=torch.zeros(2, 3))
    cond, step = Conditioning(context=torch.zeros(2, 3, 8)), next(begin(tiny_model))
    with pytest.raises(ValueError, match="cannot join conditions of different kinds"):
        decompose_guidance(tiny_model, step, cond, other)
