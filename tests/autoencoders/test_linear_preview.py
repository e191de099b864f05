import pytest
import torch
import torch.nn.functional as F

from ldm_lab.autoencoders.linear_preview import LinearPreview, fit_linear_preview
from ldm_lab.checkpoints import load_autoencoder, locate_first_stage
from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import ConfigError, ShapeError
from ldm_lab.core.seeding import generator
from ldm_lab.data.shape_scenes import ShapeScenes

MATRIX = torch.randn(4, 3, generator=generator("matrix"))
BIAS = torch.tensor([0.1, -0.2, 0.3])


class LinearStage(torch.nn.Module):
    """A first stage whose latents determine the mean colours: z (C = 4) with z @ MATRIX + BIAS = colour."""

    def __init__(self, image_channels=3):
        super().__init__()
        self.config = type("Config", (), {"image_channels": image_channels})
        self.factor = torch.nn.Parameter(torch.tensor(2.0))

    def encode(self, x):
        colours = F.avg_pool2d(x, 2) - BIAS[:, None, None].to(x)  # (B, 3, h, w)
        z = torch.einsum("brhw,rc->bchw", colours, torch.linalg.pinv(MATRIX).to(x))
        return type("Posterior", (), {"mode": lambda self: z})()


def batches(count=2):
    return [torch.rand(2, 3, 8, 8, generator=generator("x", draw)) * 2 - 1 for draw in range(count)]


def test_a_linear_first_stage_is_drawn_exactly():
    preview = fit_linear_preview(LinearStage(), batches())
    (x,) = batches(1)
    z = LinearStage().encode(x).mode()
    torch.testing.assert_close(preview.apply(z), F.avg_pool2d(x, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.tensor(preview.bias), BIAS, atol=1e-4, rtol=0)


def test_the_shipped_first_stage_shows_its_scenes():
    """Held-out scenes: nine tenths of the variance of their colours are explained, and none by one colour for all."""
    autoencoder = load_autoencoder(locate_first_stage("shapes-kl-f4"))
    preview = fit_linear_preview(autoencoder, [ShapeScenes().images(range(16))])
    x = ShapeScenes(split="test").images(range(8))
    with torch.no_grad():
        drawn = preview.apply(autoencoder.encode(x).mode())
    colours = F.avg_pool2d(x, 4)
    unexplained = (drawn - colours).square().mean() / (colours - colours.mean((0, 2, 3), keepdim=True)).square().mean()
    assert unexplained < 0.2  # 0.09 and 0.12 were measured with two trainings of the first stage


def test_it_survives_json():
    preview = fit_linear_preview(LinearStage(), batches())
    assert from_dict(LinearPreview, to_dict(preview)) == preview


def test_it_says_what_it_reads():
    preview = fit_linear_preview(LinearStage(), batches())
    with pytest.raises(ShapeError, match=r"latents have shape \(1, 3, 2, 2\); this preview reads \(batch, 4,"):
        preview.apply(torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": [], "bias": [0, 0, 0]}, "a linear preview has a finite number for each colour"),
        ({"weight": [[0, 0, float("inf")]], "bias": [0, 0, 0]}, "a linear preview has a finite number"),
        ({"weight": [[0, 0]], "bias": [0, 0, 0]}, "weight is"),
        ({"weight": [[0, 0, 0]], "bias": "grey"}, "bias is 'grey'"),
        ({"weight": [[0, 0, 0]]}, "needs a value for bias"),
    ],
)
def test_a_stored_one_is_checked(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(LinearPreview, values)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ConfigError, match="this first stage has 1 channels"):
        fit_linear_preview(LinearStage(image_channels=1), batches())
    with pytest.raises(ConfigError, match="4 cells are too few for 5 unknowns"):
        fit_linear_preview(LinearStage(), [torch.zeros(1, 3, 4, 4)])
