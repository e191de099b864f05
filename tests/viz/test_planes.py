import math

import numpy as np
import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.viz import planes


def read(made):
    counts = np.frombuffer(made.data, f"<u{made.bits // 8}").reshape(made.shape)
    return np.where(counts == 2**made.bits - 1, np.nan, made.low + made.step * counts)


@pytest.mark.parametrize("bits", [8, 16])
def test_numbers_come_back_right_to_half_a_step(bits):
    values = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    made = planes(values, bits=bits)
    assert made.shape == (3, 5, 7)
    assert len(made.data) == values.numel() * bits // 8
    assert made.step == pytest.approx((values.max() - values.min()).item() / (2**bits - 2))
    assert made.high == pytest.approx(values.max().item())
    assert np.abs(read(made) - values.numpy()).max() <= made.step * 0.5000001


def test_what_is_no_number_is_told_apart_from_the_highest():
    values = torch.tensor([[1.0, math.nan], [math.inf, 3.0]])
    found = read(planes(values, bits=8))
    assert np.isnan(found).tolist() == [[False, True], [True, False]]
    assert found[1, 1] == pytest.approx(3.0)


def test_shares_begin_at_zero():
    made = planes(torch.tensor([0.25, 0.5]), bits=8, low=0.0)
    assert made.low == 0.0
    np.testing.assert_allclose(read(made), [0.25, 0.5])  # 0.5 is the highest, 0.25 half of its counts
    with pytest.raises(RequestError, match="the lowest number is -0.25, below 0"):
        planes(torch.tensor([-0.25]), low=0.0)


@pytest.mark.parametrize("value", [0.0, 2.5, math.nan])
def test_a_flat_plane_has_its_value_everywhere(value):
    np.testing.assert_allclose(read(planes(torch.full((2, 2), value))), np.full((2, 2), value))
