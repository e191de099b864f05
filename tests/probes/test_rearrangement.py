import dataclasses

import pytest
import torch

from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.probes import Rearrangement


@pytest.fixture
def pair(draw):
    return draw(3, 4, 6), draw(3, 4, 6)


def test_nothing_asked_is_nothing_done(pair):
    assert Rearrangement().apply(pair[0]) is not None
    torch.testing.assert_close(Rearrangement().apply(pair[0]), pair[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("b", lambda a, b: b),
        ("a - b", lambda a, b: a - b),
        ("a + b", lambda a, b: a + b),
        ("mean", lambda a, b: (a + b) / 2),
    ],
)
def test_arithmetic_of_two_latents(pair, operation, expected):
    torch.testing.assert_close(Rearrangement(operation=operation).apply(*pair), expected(*pair))


def test_each_channel_has_its_gain(pair):
    made = Rearrangement(gains=(2.0, 0.0, -1.0)).apply(pair[0])
    torch.testing.assert_close(made, torch.stack([2 * pair[0][0], 0 * pair[0][1], -pair[0][2]]))


def test_a_part_is_cut_out_and_repeated(pair):
    made = Rearrangement(rows=(0.5, 1.0), columns=(0.0, 0.5), tiles=2).apply(pair[0])
    assert made.shape == (3, 4, 6)
    for top in (0, 2):
        for left in (0, 3):
            torch.testing.assert_close(made[:, top : top + 2, left : left + 3], pair[0][:, 2:, :3], rtol=0, atol=0)


def test_everything_in_its_order(pair):
    every = Rearrangement(operation="a - b", gains=(1.0, 2.0, 3.0), rows=(0.25, 0.75), columns=(0.0, 1.0), tiles=3)
    expected = ((pair[0] - pair[1]) * torch.tensor([1.0, 2.0, 3.0])[:, None, None])[:, 1:3].repeat(1, 3, 3)
    torch.testing.assert_close(every.apply(*pair), expected)


def test_nan_stays_where_it_is(pair):
    z = pair[0].clone()
    z[1, 2, 3] = torch.nan
    assert Rearrangement(gains=(1.0, 0.0, 1.0)).apply(z).isnan().nonzero().tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("changes", "other", "error", "words"),
    [
        ({"operation": "a - b"}, None, RequestError, "'a - b', but there is no other latent"),
        ({"operation": "mean"}, (3, 4, 5), ShapeError, r"shapes \(3, 4, 6\) and \(3, 4, 5\)"),
        ({"gains": (1.0,)}, None, RequestError, "there are 1 gains for 3 channels"),
        ({"rows": (0.5, 0.5)}, None, RequestError, "leave no cell"),
    ],
)
def test_what_does_not_fit_is_refused(pair, changes, other, error, words):
    with pytest.raises(error, match=words):
        Rearrangement(**changes).apply(pair[0], None if other is None else torch.zeros(other))


def test_values_are_checked():
    with pytest.raises(RequestError, match="operation is 'a / b'; "):
        Rearrangement(operation="a / b")
    with pytest.raises(RequestError, match="tiles is 9"):
        dataclasses.replace(Rearrangement(), tiles=9)
    with pytest.raises(ShapeError, match="expected one latent"):
        Rearrangement().apply(torch.zeros(1, 3, 4, 6))
