import pytest
import torch
import torch.nn.functional as F

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import ScheduleConfig
from ldm_lab.sampling import Guidance, Patched, make_scheduler, sample_steps

TIMESTEPS = torch.tensor([900, 400])


class Blurring:
    """A network that sees one place to each side, its map (if it has one), and how large the picture is."""

    def __init__(self, model):
        self.schedule, self.prediction, self.device, self.dtype = model.schedule, "v", model.device, model.dtype
        self.shapes = []

    def bind(self, cond, timesteps, *, copies=1):
        kernel = torch.full((1, 1, 3, 3), 0.08, dtype=torch.float64)

        def denoise(z_t, index):
            self.shapes.append(tuple(z_t.shape))
            out = F.conv2d(z_t, kernel, padding=1).repeat(copies, 1, 1, 1)
            return out if cond is None else out + cond.concat

        return denoise


@pytest.fixture
def model(conditional_model):
    return Blurring(conditional_model())


def draw(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_one_patch_is_the_model_itself(model):
    z_t = draw(2, 1, 12, 12)
    assert torch.equal(
        Patched(model, size=12, overlap=6).bind(None, TIMESTEPS)(z_t, 0), model.bind(None, TIMESTEPS)(z_t, 0)
    )
    assert torch.equal(
        Patched(model, size=64, overlap=6).bind(None, TIMESTEPS)(z_t, 0), model.bind(None, TIMESTEPS)(z_t, 0)
    )


def test_a_whole_walk_with_one_patch_is_the_plain_walk(conditional_model):
    model = conditional_model(prediction="v")
    request = {"num_steps": 4, "seeds": [1, 2], "shape": (1, 8, 8)}
    scheduler = make_scheduler("dpm++2m", ScheduleConfig(), "v")
    walks = [list(sample_steps(m, None, scheduler, **request)) for m in (model, Patched(model, size=8, overlap=4))]
    for plain, patched in zip(*walks, strict=True):
        assert torch.equal(plain.z_next, patched.z_next)


def test_a_model_that_sees_each_place_alone_is_not_changed(conditional_model):
    model = conditional_model()
    z_t = draw(2, 1, 9, 14)
    patched = Patched(model, size=5, overlap=2).bind(None, TIMESTEPS)(z_t, 1)
    torch.testing.assert_close(patched, model.bind(None, TIMESTEPS)(z_t, 1), rtol=0, atol=1e-12)


def test_it_is_the_weighted_least_squares_answer(model):
    """MultiDiffusion: the plane that fits all patches best, found here by solving the normal equations anew."""
    z_t = draw(1, 1, 6, 10)
    patched = Patched(model, size=6, overlap=2).bind(None, TIMESTEPS)(z_t, 0)
    assert model.shapes == [(1, 1, 6, 6)] * 2
    weight = torch.sin(torch.pi * (torch.arange(6, dtype=torch.float64) + 0.5) / 6).square()
    rows, answers = [], []
    for left in (0, 4):
        prediction = model.bind(None, TIMESTEPS)(z_t[..., left : left + 6], 0)[0, 0]
        rows.append(weight.sqrt()[:, None] * F.one_hot(torch.arange(left, left + 6), 10))
        answers.append(weight.sqrt()[:, None] * prediction.T)
    solution = torch.linalg.lstsq(torch.cat(rows), torch.cat(answers)).solution.T  # along each row of the plane
    torch.testing.assert_close(patched[0, 0], solution, rtol=0, atol=1e-6)


def test_away_from_seams_it_is_the_whole(model):
    z_t = draw(2, 1, 8, 20)
    patched = Patched(model, size=12, overlap=4).bind(None, TIMESTEPS)(z_t, 0)
    whole = model.bind(None, TIMESTEPS)(z_t, 0)
    torch.testing.assert_close(patched[..., :8], whole[..., :8], rtol=0, atol=1e-12)
    torch.testing.assert_close(patched[..., 12:], whole[..., 12:], rtol=0, atol=1e-12)
    assert (patched - whole).abs().max() > 1e-4


def test_maps_are_cut_like_the_latent_and_guidance_goes_around(model):
    z_t, cond, null = draw(2, 1, 8, 20), *(Conditioning(concat=draw(2, 1, 8, 20, seed=seed)) for seed in (1, 2))
    for guidance in (Guidance(), Guidance(scale=3.0, negative=null)):
        patched, whole = (
            guidance.bind(m, cond, TIMESTEPS)(z_t, 0) for m in (Patched(model, size=12, overlap=4), model)
        )
        torch.testing.assert_close(patched[..., :8], whole[..., :8], rtol=0, atol=1e-12)
        torch.testing.assert_close(patched[..., 12:], whole[..., 12:], rtol=0, atol=1e-12)


def test_impossible_patches_are_named(model):
    with pytest.raises(RequestError, match="the size 8 and the overlap 8"):
        Patched(model, size=8, overlap=8)
