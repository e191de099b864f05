import pytest
import torch
from torch import nn

from ldm_lab.checkpoints.weights import Uninitialised, fill, split_prefixes, weights_of, with_prefix
from ldm_lab.core.errors import CheckpointError, CheckpointMismatchError


def make_module():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_floats_are_cast_and_integers_are_not():
    weights = weights_of(make_module(), dtype=torch.float16)
    assert weights["0.weight"].dtype == torch.float16
    assert weights["1.num_batches_tracked"].dtype == torch.int64


def test_filling_restores_dtype_and_values():
    source, target = make_module(), make_module()
    fill(target, weights_of(source, dtype=torch.float16), source="file")
    for name, tensor in target.state_dict().items():
        assert tensor.dtype == source.state_dict()[name].dtype
        assert torch.equal(tensor, weights_of(source, dtype=torch.float16)[name].to(tensor.dtype))
    assert target[0].weight.requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("0.weight"), "file lacks 1 of 7 tensors that config.json describes: 0.weight"),
        (lambda w: w.update(extra=torch.ones(1)), "file holds 1 tensors that config.json does not describe: extra"),
        (lambda w: w.update({"0.bias": torch.ones(5)}), r"0.bias has shape \(5,\), but config.json describes \(4,\)"),
        (lambda w: w["0.bias"].fill_(torch.nan), "0.bias holds NaN or infinity"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message):
    weights = {name: tensor.clone() for name, tensor in weights_of(make_module(), dtype=torch.float32).items()}
    change(weights)
    with pytest.raises(CheckpointMismatchError, match=message):
        fill(make_module(), weights, source="file")


def test_only_the_first_of_many_missing_names_are_listed():
    with pytest.raises(CheckpointMismatchError, match="0.bias, 0.weight, 1.bias and 4 more"):
        fill(make_module(), {}, source="file")


def test_values_beyond_the_range_of_16_bits_are_not_saved():
    module = make_module()
    with torch.no_grad():
        module[0].bias[2] = 1e6
    with pytest.raises(CheckpointError, match="cannot save 0.bias: a value is beyond the range of torch.float16"):
        weights_of(module, dtype=torch.float16)
    assert weights_of(module, dtype=torch.bfloat16)["0.bias"][2].isfinite()


def test_nan_is_never_saved():
    module = make_module()
    nn.init.constant_(module[0].weight, torch.nan)
    with pytest.raises(CheckpointError, match="cannot save 0.weight: a value is NaN or infinite"):
        weights_of(module, dtype=torch.float32)


def test_prefixes_join_and_split():
    weights = {"a.b": torch.ones(1), "c": torch.zeros(1)}
    assert split_prefixes(with_prefix(weights, "unet"), ("unet", "rest"), source="file") == {
        "unet": weights,
        "rest": {},
    }
    with pytest.raises(CheckpointMismatchError, match="file holds 'optimiser.a'"):
        split_prefixes({"optimiser.a": torch.ones(1)}, ("unet",), source="file")


def test_uninitialised_leaves_out_starting_values_and_nothing_else():
    parameter, tensor = nn.Parameter(torch.full((3,), 5.0)), torch.full((3,), 5.0)
    with Uninitialised():
        nn.init.normal_(parameter)
        nn.init.zeros_(parameter)
        nn.init.kaiming_uniform_(nn.Parameter(torch.ones(2, 2)))
        tensor.zero_()
    assert parameter.tolist() == [5.0] * 3
    assert tensor.tolist() == [0.0] * 3
    nn.init.zeros_(parameter)
    assert parameter.tolist() == [0.0] * 3
