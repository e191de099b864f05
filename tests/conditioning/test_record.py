import dataclasses

import pytest
import torch

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import ShapeError


def conditioning(batch=3, *, offset=0.0):
    def values(*shape):
        return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape) + offset

    return Conditioning(context=values(batch, 4, 5), concat=values(batch, 2, 6, 6), vector=values(batch, 7))


def assert_equal(first, second):
    assert first.parts().keys() == second.parts().keys()
    for name, tensor in first.parts().items():
        torch.testing.assert_close(tensor, second.parts()[name], rtol=0, atol=0)


def test_batch_size_is_that_of_any_part():
    assert conditioning(3).batch_size == 3
    assert Conditioning(vector=torch.zeros(2, 7)).batch_size == 2


def test_record_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        conditioning().context = None


def test_repeat_lays_whole_batches_side_by_side():
    cond = conditioning(2)
    repeated = cond.repeat(3)
    assert_equal(repeated, Conditioning.cat([cond, cond, cond]))
    assert repeated.batch_size == 6


def test_select_takes_rows_in_the_order_asked_for():
    cond = conditioning(3)
    for indices in ([2, 0, 2], (2, 0, 2), torch.tensor([2, 0, 2])):
        chosen = cond.select(indices)
        for name, tensor in cond.parts().items():
            torch.testing.assert_close(chosen.parts()[name], torch.stack([tensor[2], tensor[0], tensor[2]]))


def test_cat_then_select_returns_each_part():
    first, second = conditioning(2), conditioning(3, offset=0.5)
    joined = Conditioning.cat([first, second])
    assert_equal(joined.select(range(2)), first)
    assert_equal(joined.select(range(2, 5)), second)


def test_to_casts_every_part_and_leaves_the_original():
    cond = conditioning()
    cast = cond.to(dtype=torch.float64)
    assert {tensor.dtype for tensor in cast.parts().values()} == {torch.float64}
    assert {tensor.dtype for tensor in cond.parts().values()} == {torch.float32}
    assert {tensor.device.type for tensor in cond.to(device="meta").parts().values()} == {"meta"}


def test_absent_parts_stay_absent():
    cond = Conditioning(context=torch.zeros(2, 4, 5))
    for changed in (cond.repeat(2), cond.select([0]), cond.to(dtype=torch.float64), Conditioning.cat([cond, cond])):
        assert changed.parts().keys() == {"context"}


def test_operations_leave_their_input_unchanged():
    cond, untouched = conditioning(), conditioning()
    for changed in (cond.repeat(1), cond.select([0, 1, 2]), Conditioning.cat([cond])):
        for tensor in changed.parts().values():
            tensor.add_(1)
    assert_equal(cond, untouched)


def test_bad_records_are_refused():
    with pytest.raises(ShapeError, match="at least one"):
        Conditioning()
    with pytest.raises(ShapeError, match=r"context has shape \(2, 5\); it must have 3 dimensions"):
        Conditioning(context=torch.zeros(2, 5))
    with pytest.raises(ShapeError, match="context 2, vector 3"):
        Conditioning(context=torch.zeros(2, 4, 5), vector=torch.zeros(3, 7))


def test_cat_refuses_what_does_not_fit():
    tokens = Conditioning(context=torch.zeros(1, 4, 5))
    for other in (Conditioning(context=torch.zeros(1, 6, 5)), Conditioning(vector=torch.zeros(1, 5))):
        with pytest.raises(ShapeError, match=r"'context': \(4, 5\)"):
            Conditioning.cat([tokens, other])
    with pytest.raises(ShapeError, match="cannot join"):
        Conditioning.cat([])
