"""Parts in 16 bits: what is given to them is cast, what comes back is fp32, and overflow is found and mended."""

import copy

import pytest
import torch

from ldm_lab.core.seeding import generator
from ldm_lab.model import NonFiniteImageError
from ldm_lab.sampling import Guidance, make_scheduler, sample_steps

HALF = [torch.bfloat16, torch.float16]


def cast(model, dtype, *, parts=("autoencoder", "unet", "conditioner")):
    model = copy.deepcopy(model)
    for part in parts:
        getattr(model, part).to(dtype)
    return model


@torch.no_grad()
def sample(model):
    cond, negative = model.condition(["a red circle", "a blue star"]), model.condition(["", ""])
    walk = sample_steps(
        model,
        cond,
        make_scheduler("ddim", model.config.schedule, model.prediction),
        num_steps=4,
        seeds=[1, 2],
        shape=model.latent_shape(16, 16),
        guidance=Guidance(scale=2.0, negative=negative),
    )
    *_, last = walk
    return last.z_next, model.decode(last.z_next)


def images(*shape):
    return torch.rand(shape, generator=generator("images of the test")) * 2 - 1


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("parts", [("unet",), ("conditioner",), ("autoencoder", "unet", "conditioner")])
def test_a_model_in_16_bits_samples_nearly_the_same(tiny_model, dtype, parts):
    expected_z, expected_x = sample(tiny_model)
    z, x = sample(cast(tiny_model, dtype, parts=parts))
    assert z.dtype == x.dtype == torch.float32
    error = (z - expected_z).norm() / expected_z.norm()
    assert 0.0 < error < 20 * torch.finfo(dtype).eps  # a rounding in each of some dozen layers, four times over
    assert (x - expected_x).norm() / expected_x.norm() < 20 * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", HALF)
def test_a_first_stage_in_16_bits_speaks_fp32(tiny_model, dtype):
    model, x = cast(tiny_model, dtype, parts=("autoencoder",)), images(2, 3, 16, 16)
    with torch.no_grad():
        for draws in (None, generator("posterior")):
            z = model.encode(x, generator=draws)
            assert (z.dtype, model.decode(z).dtype) == (torch.float32, torch.float32)
        expected = tiny_model.encode(x)
        assert (model.encode(x) - expected).norm() / expected.norm() < 10 * torch.finfo(dtype).eps


def test_fp64_stays_fp64(tiny_model):
    model, x = cast(tiny_model, torch.float64, parts=("autoencoder",)), images(1, 3, 16, 16)
    with torch.no_grad():
        assert model.encode(x).dtype == model.decode(model.encode(x)).dtype == torch.float64


@pytest.fixture
def loud(make_tiny_model):
    """A model whose decoder leaves the range of fp16 in the middle, and comes back to it at the end."""
    model = make_tiny_model()
    model.autoencoder.post_quant_conv.weight.data *= 3e4
    model.autoencoder.half()
    return model


@torch.no_grad()
def test_overflow_is_mended_in_fp32(loud):
    z = torch.randn(2, 3, 8, 8, generator=generator("latents of the test")) * 5
    assert not torch.isfinite(loud.autoencoder.decode((z / loud.scale_factor).half())).all()
    before = copy.deepcopy(loud.autoencoder.state_dict())
    x = loud.decode(z)
    torch.testing.assert_close(loud.autoencoder.state_dict(), before, rtol=0, atol=0)
    assert torch.isfinite(x).all()
    assert x.std() > 0.01
    torch.testing.assert_close(x, cast(loud, torch.float32).decode(z), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@torch.no_grad()
def test_what_fp32_cannot_mend_is_one_sentence_and_leaves_the_weights(tiny_model, dtype):
    model = cast(tiny_model, dtype, parts=("autoencoder",))
    before = copy.deepcopy(model.autoencoder.state_dict())
    z = torch.full((1, 3, 8, 8), 2.0)
    z[0, 0, 0, 0] = torch.inf
    with pytest.raises(NonFiniteImageError, match="not finite from latents of magnitude up to inf"):
        model.decode(z)
    torch.testing.assert_close(model.autoencoder.state_dict(), before, rtol=0, atol=0)
