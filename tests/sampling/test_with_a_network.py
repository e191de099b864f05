"""The ways of editing, on a real network and first stage at toy size."""

import pytest
import torch
import torch.nn.functional as F

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.perceptual import RandomFeatures
from ldm_lab.sampling import (
    Edit,
    Guidance,
    ImageGuidance,
    Patched,
    Resampling,
    edit_steps,
    half_squared_error,
    invert_steps,
    make_scheduler,
    sample_steps,
)

SEEDS = (1, 2)
SHAPE = (3, 8, 8)


@pytest.fixture(scope="module")
def model(make_tiny_model):
    return make_tiny_model(prediction="v")


def request_of(model, text="a circle"):
    cond, null = (model.condition([y] * 2) for y in (text, ""))
    return cond, Guidance(scale=2.0, negative=null)


def scheduler_of(model, name="ddim"):
    return make_scheduler(name, model.config.schedule, model.prediction)


@torch.no_grad()
def test_the_identities_hold_through_the_first_stage(model):
    cond, guidance = request_of(model)
    z_0 = model.encode(torch.linspace(-1, 1, 2 * 3 * 256).reshape(2, 3, 16, 16))
    request = {"num_steps": 4, "seeds": SEEDS, "guidance": guidance}

    def decoded(**edit):
        *_, last = edit_steps(model, cond, scheduler_of(model, "dpm++2m"), Edit(z_0=z_0, **edit), **request)
        return model.decode(last.z_next)

    *_, last = sample_steps(model, cond, scheduler_of(model, "dpm++2m"), shape=z_0.shape[1:], **request)
    side = z_0.shape[-1]
    assert torch.equal(decoded(), model.decode(last.z_next))
    assert torch.equal(decoded(mask=torch.ones(1, 1, side, side)), model.decode(last.z_next))
    assert torch.equal(decoded(mask=torch.zeros(1, 1, side, side)), model.decode(z_0))
    assert not torch.equal(decoded(strength=0.5), decoded())


@torch.no_grad()
def test_inversion_comes_back(model):
    cond, _ = request_of(model)
    z_0 = 0.5 * torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    errors = []
    for num_iterations in (1, 8):
        *_, top = invert_steps(model, cond, z_0, num_steps=10, num_iterations=num_iterations)
        start = (top.z_next, 0)
        *_, end = sample_steps(model, cond, scheduler_of(model), num_steps=10, seeds=SEEDS, shape=SHAPE, start=start)
        errors.append((end.z_next - z_0).abs().max().item())
    assert errors[1] < 0.1 * errors[0]
    assert errors[1] < 0.01


@torch.no_grad()
def test_patches_and_resampling_with_a_network(model):
    cond, guidance = request_of(model)
    mask = torch.ones(1, 1, 8, 16)
    mask[..., :8] = 0
    edit = Edit(z_0=torch.ones(2, 3, 8, 16), mask=mask, resampling=Resampling(jump_length=2, num_resamplings=2))
    patched = Patched(model, size=8, overlap=4)
    *_, last = edit_steps(patched, cond, scheduler_of(model), edit, num_steps=4, seeds=SEEDS, guidance=guidance)
    assert last.z_next.isfinite().all()
    assert torch.equal(last.z_next[..., :8], torch.ones(2, 3, 8, 8))


GUIDERS = {
    "kl": (None, half_squared_error, 0.3),
    "vq": (VQConfig(num_codes=16), half_squared_error, 0.3),
    "perceptual": (None, RandomFeatures(seed=0), 3.0),
}


@pytest.mark.parametrize(("bottleneck", "loss", "scale"), GUIDERS.values(), ids=GUIDERS.keys())
@torch.no_grad()
def test_image_guiding_through_network_and_first_stage(make_tiny_model, bottleneck, loss, scale):
    model = make_tiny_model(prediction="v", bottleneck=bottleneck)
    cond, base = request_of(model)
    target = 0.5 * torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def decode(z):
        return model.autoencoder.decode_straight_through(z / model.scale_factor)

    def shrink(x):
        return F.interpolate(x, size=(8, 8), mode="bicubic", antialias=True)

    def distance(scale):
        guide = ImageGuidance(target=target, decode=decode, transform=shrink, loss=loss, scale=scale, base=base)
        request = {"num_steps": 8, "seeds": SEEDS, "shape": SHAPE, "guidance": guide}
        *_, last = sample_steps(model, cond, scheduler_of(model), **request)
        return loss(shrink(decode(last.z_next)), target).mean()

    assert distance(scale) < 0.97 * distance(0.0)
    assert all(parameter.grad is None for parameter in model.parameters())
