import math

import pytest
import torch

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.sampling import slerp, slerp_conditions, vary

SHAPE = (4, 16, 16)
FIRST, SECOND = (sample_noise(SHAPE, [seed, seed + 10]) for seed in (1, 2))


def test_the_ends_are_the_ends():
    for ends in ((FIRST, SECOND), (FIRST, FIRST), (FIRST, -FIRST), (FIRST.double(), SECOND.double())):
        assert torch.equal(slerp(*ends, 0.0), ends[0])
        assert torch.equal(slerp(*ends, 1.0), ends[1])


def test_a_quarter_turn_has_its_known_points():
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    for share in (0.0, 0.25, 0.5, 1.0):
        angle = share * math.pi / 2
        expected = torch.tensor([[math.cos(angle), math.sin(angle)]])
        torch.testing.assert_close(slerp(x, y, share), expected, rtol=0, atol=1e-6)


def test_the_way_has_constant_speed_and_stays_on_the_sphere():
    first, second = (end / end.flatten(1).norm(dim=1)[:, None, None, None] for end in (FIRST, SECOND))
    way = [slerp(first, second, share / 8).flatten(1).double() for share in range(9)]
    for point in way:
        torch.testing.assert_close(point.norm(dim=1), torch.ones(2).double(), rtol=0, atol=1e-5)
    turns = torch.stack([(one * other).sum(1).acos() for one, other in zip(way, way[1:], strict=False)])  # noqa: RUF007
    torch.testing.assert_close(turns, turns.mean(0, keepdim=True).expand_as(turns), rtol=1e-3, atol=0)


def test_noise_between_noise_is_noise():
    """The middle has the spread of noise; the straight line's (the negative control) has 0.71 of it."""
    assert slerp(FIRST, SECOND, 0.5).std().item() == pytest.approx(1.0, abs=0.04)
    assert torch.lerp(FIRST, SECOND, 0.5).std().item() == pytest.approx(math.sqrt(0.5), abs=0.04)


def test_each_image_goes_its_own_way():
    middle = slerp(FIRST, SECOND, 0.3)
    torch.testing.assert_close(slerp(FIRST[1:], SECOND[1:], 0.3), middle[1:], rtol=0, atol=1e-6)


def test_parallel_vectors_are_joined_by_a_straight_line():
    torch.testing.assert_close(slerp(FIRST, 2 * FIRST, 0.5), 1.5 * FIRST, rtol=1e-5, atol=1e-6)
    assert torch.equal(slerp(torch.zeros(1, 3), torch.zeros(1, 3), 0.5), torch.zeros(1, 3))


def test_conditions_are_interpolated_token_by_token():
    first, second = (
        Conditioning(context=torch.randn(2, 5, 8), vector=torch.randn(2, 3), concat=torch.randn(2, 1, 4, 4))
        for _ in range(2)
    )
    middle = slerp_conditions(first, second, 0.4)
    token = slerp(first.context[0, 3][None], second.context[0, 3][None], 0.4)
    torch.testing.assert_close(middle.context[0, 3][None], token)
    torch.testing.assert_close(middle.vector, slerp(first.vector, second.vector, 0.4))
    torch.testing.assert_close(middle.concat, slerp(first.concat, second.concat, 0.4))
    for share, end in ((0.0, first), (1.0, second)):
        for name, part in slerp_conditions(first, second, share).parts().items():
            assert torch.equal(part, end.parts()[name])


def test_variations_turn_away_by_the_amount_asked_for():
    assert torch.equal(vary(FIRST, [5, 6], amount=0.0), FIRST)
    assert torch.equal(vary(FIRST, [5, 6], amount=1.0), sample_noise(SHAPE, [5, 6], stream="variation"))
    variation = vary(FIRST, [5, 6], amount=0.2)
    cosine = torch.cosine_similarity(variation.flatten(1), FIRST.flatten(1))
    torch.testing.assert_close(cosine, torch.full((2,), math.cos(0.2 * math.pi / 2)), rtol=0, atol=0.02)
    assert not torch.equal(variation, vary(FIRST, [7, 8], amount=0.2))
    assert not torch.equal(vary(FIRST, [1, 11], amount=1.0), FIRST)  # also where the seed is that of the noise itself


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), True, "0.5", None])
def test_bad_shares_are_named(share):
    with pytest.raises(RequestError, match=f"share is {share!r}; it must be a number from 0 to 1"):
        slerp(FIRST, SECOND, share)
    with pytest.raises(RequestError, match=f"amount is {share!r}"):
        vary(FIRST, [1, 2], amount=share)


def test_ends_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"\(2, 4, 16, 16\) and \(1, 4, 16, 16\)"):
        slerp(FIRST, SECOND[:1], 0.5)
    with pytest.raises(ShapeError, match="hold context and vector; they must hold the same"):
        slerp_conditions(Conditioning(context=torch.ones(1, 2, 3)), Conditioning(vector=torch.ones(1, 3)), 0.5)
    with pytest.raises(RequestError, match="there are 1 seeds for 2 latents"):
        vary(FIRST, [1], amount=0.5)
