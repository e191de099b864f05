import sys
import types

import numpy as np
import pytest
import torch

from ldm_lab.core.errors import MissingDependencyError, RequestError, ShapeError
from ldm_lab.probes import map_samples
from ldm_lab.probes import sample_map as module


@pytest.mark.parametrize("count", [8, 60])
def test_the_places_are_principal_components(draw, count):
    z = draw(count, 2, 3, 4)
    made = map_samples(z)
    values = (z - z.mean(0)).flatten(1).float().double()
    left, sizes, _ = torch.linalg.svd(values, full_matrices=False)
    expected = left[:, :2] * sizes[:2]
    ratio = torch.cdist(made.points, made.points) / torch.cdist(expected, expected).clamp(min=1e-12)
    off = ~torch.eye(count, dtype=torch.bool)
    torch.testing.assert_close(ratio[off], ratio[0, 1].expand_as(ratio[off]), rtol=1e-4, atol=0)
    shares = sizes[:2].square() / sizes.square().sum()
    torch.testing.assert_close(torch.tensor(made.explained, dtype=torch.float64), shares, rtol=1e-5, atol=0)


def test_the_map_fills_its_larger_side(draw):
    points = map_samples(draw(20, 1, 4, 4)).points
    assert (points.amin(0) + points.amax(0)).abs().max() < 1e-12
    assert (points.amax(0) - points.amin(0)).max().item() == pytest.approx(2.0)


def test_at_a_sample_there_is_the_sample(draw):
    made = map_samples(draw(20, 2, 4, 4))
    blend = made.between(*made.points[7].tolist())
    assert blend.neighbours[0] == 7
    assert blend.distance == 0.0
    torch.testing.assert_close(blend.z, made.z[7], rtol=0, atol=1e-6)  # the others weigh 1e-12 / distance²


def test_between_two_samples_lies_their_mean(draw):
    z = draw(2, 1, 2, 2)
    z = torch.cat([z, 100 + draw(1, 1, 2, 2)])
    made = map_samples(z)
    middle = made.points[:2].mean(0).tolist()
    blend = made.between(*middle, num_neighbours=2)
    assert set(blend.neighbours) == {0, 1}
    assert blend.weights == pytest.approx((0.5, 0.5))
    torch.testing.assert_close(blend.z, made.z[:2].mean(0))
    expected = blend.z.std(correction=0) / made.z[:2].flatten(1).std(1, correction=0).mean()
    assert blend.spread == pytest.approx(expected.item(), rel=1e-5)


def test_far_from_all_samples_it_says_so(draw, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 7)
    made = map_samples(draw(30, 2, 4, 4))
    near, far = made.between(*made.points[3].tolist()), made.between(50.0, 0.0)
    nearest = torch.cdist(made.points, made.points).fill_diagonal_(torch.inf).amin(1).median()
    assert made.usual_distance == pytest.approx(nearest.item())
    expected = (made.points - torch.tensor([50.0, 0.0])).norm(dim=1).min() / nearest
    assert far.distance == pytest.approx(expected.item())
    assert (near.is_far, far.is_far) == (False, True)


def test_equal_samples_have_one_place():
    made = map_samples(torch.ones(4, 1, 2, 2))
    assert made.points.abs().max() == 0.0
    assert made.between(0.0, 0.0).z.tolist() == [[[1.0, 1.0], [1.0, 1.0]]]


@pytest.mark.parametrize(
    ("z", "error", "words"),
    [
        (torch.zeros(4, 4), ShapeError, r"shape \(4, 4\)"),
        (torch.zeros(2, 1, 2, 2), RequestError, "there are 2 latents; a map takes 3 to 5000"),
        (torch.full((3, 1, 2, 2), torch.nan), RequestError, "3 of 3 latents hold NaN"),
    ],
)
def test_what_is_no_set_of_latents_is_refused(z, error, words):
    with pytest.raises(error, match=words):
        map_samples(z)


def test_umap_is_offered_where_it_is_installed(draw, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert module.methods() == ("pca",)
    with pytest.raises(MissingDependencyError, match="pip install umap-learn"):
        map_samples(draw(5, 1, 2, 2), method="umap")

    class Umap:
        def __init__(self, *, n_neighbors, random_state):
            self.neighbours = n_neighbors

        def fit_transform(self, values):
            assert self.neighbours == len(values) - 1
            return np.stack([values[:, 0], values[:, 1]], axis=1)

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=Umap))
    made = map_samples(draw(5, 1, 2, 2), method="umap")
    assert made.explained is None
    assert made.points.shape == (5, 2)
