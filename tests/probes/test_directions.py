import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.probes.directions import principal_directions
from ldm_lab.probes.noise_path import measure_noise_path
from ldm_lab.tasks import BlendSettings

SHAPE = (2, 3, 4)


@pytest.fixture
def known():
    """Samples that differ along two known axes alone."""
    first, second = torch.zeros(2, *SHAPE)
    first[0, 0, 0] = second[1, 2, 3] = 1.0
    draws = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 1.0])
    return 5.0 + torch.einsum("nk,kchw->nchw", draws, torch.stack([first, second])), first, second


def test_the_axes_and_spreads_are_found(known):
    z, first, second = known
    found = principal_directions(z, count=2)
    assert (found.axes[0] * first).sum().abs().item() == pytest.approx(1.0, abs=0.01)  # 400 draws
    assert (found.axes[1] * second).sum().abs().item() == pytest.approx(1.0, abs=0.01)
    torch.testing.assert_close(found.spread, torch.tensor([3.0, 1.0]), rtol=0.15, atol=0)
    assert found.explained.sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(found.mean, z.mean(0))


def test_a_latent_moves_by_standard_deviations(known):
    found = principal_directions(known[0], count=2)
    z = torch.ones(SHAPE)
    moved = found.moved(z, [2.0, 0.0])
    torch.testing.assert_close((moved - z).norm(), 2.0 * found.spread[0])
    assert torch.equal(found.moved(z, [0.0, 0.0]), z)


def test_what_cannot_be_is_refused(known):
    with pytest.raises(RequestError, match="there are 4 samples for 4 directions; make at least 5"):
        principal_directions(known[0][:4])
    found = principal_directions(known[0], count=2)
    for amounts in ([0.0], [0.0, 3.5]):
        with pytest.raises(RequestError, match="give 2 numbers from -3.0 to 3.0"):
            found.moved(torch.ones(SHAPE), amounts)


def test_the_straight_line_gets_shorter_and_the_arc_does_not():
    path = measure_noise_path((4, 16, 16), BlendSettings.of(seeds=[1, 2]), num_places=9)
    assert min(path.lengths["lerp"]) == path.lengths["lerp"][4]
    assert path.lengths["lerp"][4] == pytest.approx(0.5**0.5, abs=0.06)  # 1024 numbers: 2 % one standard deviation
    assert all(abs(length - 1.0) < 0.1 for length in path.lengths["slerp"])
    assert path.shares == tuple(index / 8 for index in range(9))


def test_a_quarter_of_a_circle_is_the_way_between_orthogonal_noise():
    arc = measure_noise_path((4, 64, 64), BlendSettings.of(seeds=[1, 2]))
    line = measure_noise_path((4, 64, 64), BlendSettings.of(seeds=[1, 2], way="lerp"))
    assert arc.distance == pytest.approx(torch.pi / 2, rel=0.05)
    assert line.distance == pytest.approx(2**0.5, rel=0.05)
