import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ldm_lab.autoencoders.perceptual import VGG_FILE, PerceptualDistance, RandomFeatures, build_perceptual, load_lpips
from ldm_lab.core.errors import MissingDependencyError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty folder for torch's downloads."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path


def test_none_is_nothing():
    assert build_perceptual("none") is None


def test_random_features_measure_a_distance():
    distance = build_perceptual("random-features")
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    assert distance(x, x).item() == 0.0
    near, far = distance(x, x + 0.01 * torch.randn_like(x)), distance(x, x.flip(0))
    assert 0.0 < near < far
    torch.testing.assert_close(distance(x, x.flip(0)), distance(x.flip(0), x))


def test_random_features_are_the_same_in_every_process():
    torch.manual_seed(1)
    first = RandomFeatures()
    torch.manual_seed(2)
    second = RandomFeatures()
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert not torch.equal(RandomFeatures(seed=1).convs[0].weight, first.convs[0].weight)


def test_it_gives_gradients_to_both_images_but_has_none_itself():
    distance = build_perceptual("random-features")
    x, x_hat = torch.rand(2, 2, 3, 16, 16).requires_grad_().unbind(0)
    gradients = torch.autograd.grad(distance(x, x_hat), [x, x_hat])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_the_frozen_network_is_part_of_no_checkpoint_and_of_no_optimiser():
    module = nn.ModuleDict({"perceptual": build_perceptual("random-features"), "other": nn.Linear(1, 1)})
    assert set(module.state_dict()) == {"other.weight", "other.bias"}
    assert {name for name, _ in module.named_parameters()} == {"other.weight", "other.bias"}


def test_it_moves_with_the_module_and_stays_in_evaluation_mode():
    features = nn.Sequential(RandomFeatures())
    distance = PerceptualDistance(features)
    nn.ModuleList([distance]).double().train()
    assert features[0].convs[0].weight.dtype == torch.float64
    assert not features.training
    assert not features[0].convs[0].weight.requires_grad


def test_a_missing_backbone_says_which_file_belongs_where(hub):
    with pytest.raises(MissingDependencyError) as raised:
        build_perceptual("lpips")
    sentence = str(raised.value)
    assert str(hub / "checkpoints" / VGG_FILE) in sentence
    assert 'choose perceptual="random-features" or "none"' in sentence


def test_a_missing_package_says_how_to_install_it(hub, monkeypatch):
    (hub / "checkpoints").mkdir()
    (hub / "checkpoints" / VGG_FILE).touch()
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ldm-lab\[metrics\]'"):
        load_lpips()


def test_lpips_is_that_of_the_package_with_vgg(hub, monkeypatch):
    (hub / "checkpoints").mkdir()
    (hub / "checkpoints" / VGG_FILE).touch()
    made = []

    def lpips(**options):
        made.append(options)
        return RandomFeatures()

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=lpips))
    assert build_perceptual("lpips")(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)) == 0
    assert made == [{"net": "vgg", "verbose": False}]
