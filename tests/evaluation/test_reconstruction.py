from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import GaussianPosterior, KLBottleneck, KLConfig, VQConfig, codebook_use
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.perceptual import RandomFeatures
from ldm_lab.core.images import to_pil
from ldm_lab.data.folders import ImageFolder
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation import reconstruction
from ldm_lab.evaluation.reconstruction import evaluate_first_stage
from ldm_lab.evaluation.report import circumstances, render
from ldm_lab.evaluation.tally import share


class Almost(nn.Module):
    """A first stage whose latent is the image, and whose decoder spoils it in a known way."""

    def __init__(self, spoil):
        super().__init__()
        self.spoil, self.config = spoil, SimpleNamespace(scale_factor=2.0)
        self.quantize = KLBottleneck(KLConfig(), 3)
        self.weight = nn.Parameter(torch.zeros(()))

    def encode(self, x):
        return GaussianPosterior(x, torch.full_like(x, -30.0))

    def decode(self, z_raw):
        return self.spoil(z_raw)


def darker(x):
    return x - 0.02 * torch.sign(x)


def test_what_is_known_is_measured():
    report = evaluate_first_stage(Almost(darker), num_images=24)
    x = ShapeScenes(split="test").images(range(24))
    assert report.num_images == 24
    for value in (report.psnr, report.psnr_worst, report.psnr_of_mean_error):
        assert value == pytest.approx(40.0, abs=1e-3)  # (2 / 0.02)²
    assert report.psnr_std == pytest.approx(0.0, abs=1e-3)
    assert 0.8 < report.ssim < 1.0
    assert report.random_features == pytest.approx(RandomFeatures()(x, darker(x)).mean().item(), rel=1e-4)
    assert report.read["wholly right"] == report.read_originals["wholly right"] == (24, 24)
    assert report.latent["std of raw latents"] == pytest.approx(x.std().item(), rel=1e-4)
    assert report.latent["std of scaled latents"] == pytest.approx(2 * x.std().item(), rel=1e-4)
    assert report.latent["channel means"] == pytest.approx(x.mean((0, 2, 3)).tolist(), abs=1e-5)


def test_swapped_colours_are_wrong_colours_and_right_shapes():
    """Negative control: the reader looks at the reconstructions, not at the originals."""
    report = evaluate_first_stage(Almost(lambda x: x[:, [2, 1, 0]]), num_images=24)
    assert share(report.read["color"]) < share(report.read["shape"]) - 0.2 < 0.8
    assert report.read_originals["wholly right"] == (24, 24)
    assert report.psnr < 20.0


def test_the_mean_of_decibels_is_not_the_decibels_of_the_mean():
    report = evaluate_first_stage(
        Almost(lambda x: x * torch.linspace(0.9, 1.0, len(x))[:, None, None, None]), num_images=8
    )
    assert report.psnr > report.psnr_of_mean_error > report.psnr_worst


@pytest.fixture
def toy_vq():
    torch.manual_seed(0)
    vq = VQConfig(num_codes=16)
    config = AutoencoderConfig(channels=4, channel_mult=(1, 1), num_res_blocks=1, norm_groups=2, bottleneck=vq)
    return Autoencoder(config).eval()


def test_codebook_use_is_that_of_all_images_together(toy_vq, monkeypatch):
    monkeypatch.setattr(reconstruction, "BATCH", 3)
    report = evaluate_first_stage(toy_vq, num_images=7)
    x = ShapeScenes(split="test").images(range(7))
    with torch.no_grad():
        expected = codebook_use(toy_vq.quantize.indices(toy_vq.encode(x).mode()), 16)
    assert report.latent["codebook_usage"] == pytest.approx(expected["codebook_usage"].item())
    assert report.latent["codebook_perplexity"] == pytest.approx(expected["codebook_perplexity"].item(), rel=1e-3)


def test_a_folder_of_pictures_has_no_known_truth_and_may_be_short(toy_vq, tmp_path):
    for index, image in enumerate(to_pil(ShapeScenes().images(range(3)))):
        image.save(tmp_path / f"{index}.png")
    seen = []
    report = evaluate_first_stage(toy_vq, ImageFolder(tmp_path, size=64), num_images=100, on_progress=seen.append)
    assert (report.num_images, report.read, seen) == (3, None, [3])
    assert "read by rules" not in render(report, circumstances("x"))


def test_without_its_weights_lpips_is_named_as_missing_and_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    report = evaluate_first_stage(Almost(darker), num_images=4)
    text = render(report, circumstances("x"))
    assert report.lpips is None
    assert "vgg16-397923af.pth" in report.lpips_missing
    assert "not measured" in text
    assert "random features (not LPIPS)" in text
    assert str(tmp_path) not in text
    assert str(tmp_path) not in str(report.values())


def test_with_its_weights_lpips_is_measured(monkeypatch):
    monkeypatch.setattr(reconstruction, "load_lpips", lambda: lambda x, x_hat: (x - x_hat).abs().mean((1, 2, 3)))
    report = evaluate_first_stage(Almost(darker), num_images=4)
    assert report.lpips == pytest.approx(0.02, abs=1e-4)
    assert "not measured" not in render(report, circumstances("x"))
