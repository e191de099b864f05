import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import MissingDependencyError, ShapeError
from ldm_lab.core.images import to_tensor
from ldm_lab.evaluation import picture_pair as module
from ldm_lab.evaluation.metrics import psnr, ssim
from ldm_lab.evaluation.picture_pair import picture_distance


@pytest.fixture
def pictures():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    other = pixels.copy()
    other[:16, :16] = 255 - other[:16, :16]
    return Image.fromarray(pixels), Image.fromarray(other)


@pytest.fixture(autouse=True)
def nothing_is_kept():
    module._spatial_lpips.cache_clear()
    yield
    module._spatial_lpips.cache_clear()


@pytest.fixture
def without_weights(monkeypatch):
    def refuse():
        raise MissingDependencyError("LPIPS needs torchvision's VGG16 weights")

    monkeypatch.setattr(module, "load_lpips", refuse)


@pytest.fixture
def with_random_weights(monkeypatch):
    """The reference package with a small backbone whose weights need no file."""
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    network = lpips.LPIPS(net="squeeze", pnet_rand=True, pretrained=False, verbose=False)
    monkeypatch.setattr(module, "load_lpips", lambda: network)
    return network


@pytest.mark.usefixtures("without_weights")
def test_it_agrees_with_the_metrics(pictures):
    found = picture_distance(*pictures)
    x, x_hat = map(to_tensor, pictures)
    assert found.psnr == psnr(x, x_hat).item()
    assert found.ssim == ssim(x, x_hat).item()
    assert found.lpips is found.lpips_map is None
    assert found.missing == ("LPIPS needs torchvision's VGG16 weights",)


@pytest.mark.usefixtures("without_weights")
def test_small_pictures_have_no_structural_similarity(pictures):
    small = [picture.crop((0, 0, 10, 10)) for picture in pictures]
    assert picture_distance(*small).ssim is None


@pytest.mark.usefixtures("without_weights")
def test_two_sizes_are_refused(pictures):
    with pytest.raises(ShapeError, match=r"are \(64, 64\) and \(32, 64\) pixels large"):
        picture_distance(pictures[0], pictures[1].crop((0, 0, 32, 64)))


def test_the_perceptual_map_is_that_of_the_reference_and_lies_where_they_differ(pictures, with_random_weights):
    found = picture_distance(*pictures)
    assert found.missing == ()
    expected = with_random_weights(*map(to_tensor, pictures))[0, 0]
    torch.testing.assert_close(found.lpips_map, expected.detach(), rtol=1e-5, atol=1e-7)
    assert found.lpips_map[:16, :16].abs().mean() > 10 * found.lpips_map[40:, 40:].abs().mean()
    assert picture_distance(pictures[0], pictures[0]).lpips == 0.0
