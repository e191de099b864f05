"""Activations against a direct computation, statistics against known numbers."""

import pytest
import torch
from torch import nn

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import record_activation_statistics, record_activations


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))


@torch.no_grad()
def test_every_call_is_kept(network):
    x, y = torch.randn(2, 3), torch.randn(5, 3)
    with record_activations(network, ["0", "2"]) as outputs:
        network(x)
        network(y)
    network(y)
    assert list(outputs) == ["0", "2"]
    for name, layers in (("0", network[:1]), ("2", network)):
        assert [torch.equal(kept, layers(z)) for kept, z in zip(outputs[name], (x, y), strict=True)] == [True, True]
    assert (outputs["0"][0] < 0).any()  # the layer after it works in place, and on the original


def test_what_is_kept_has_no_graph(network):
    with record_activations(network, ["2"]) as outputs:
        network(torch.randn(1, 3)).sum().backward()
    assert not outputs["2"][0].requires_grad
    assert network[0].weight.grad is not None


def test_in_a_walk_there_is_one_for_each_step_and_condition(tiny_model, walk):
    with record_activations(tiny_model.unet, ["conv_in", "mid_block"]) as outputs:
        walk(tiny_model)
    assert [len(kept) for kept in outputs["conv_in"]] == [2, 2, 2]  # before the first look at the condition
    assert [len(kept) for kept in outputs["mid_block"]] == [4, 4, 4]


@torch.no_grad()
def test_statistics_of_known_tensors():
    rows = [[1.0, 3.0, 5.0, -7.0], [torch.nan, 2.0, 4.0, -torch.inf], [torch.nan] * 4]
    layer = nn.Identity()
    with record_activation_statistics(nn.Sequential(layer), ["0"]) as statistics:
        layer(torch.tensor(rows).reshape(3, 2, 2))
    (found,) = statistics["0"]
    torch.testing.assert_close(found.mean[:2], torch.tensor([0.5, 3.0]))
    torch.testing.assert_close(found.std[:2], torch.tensor([20.75**0.5, 1.0]))
    assert found.largest.tolist() == [7.0, 4.0, 0.0]
    assert found.num_nonfinite.tolist() == [0, 2, 4]
    assert found.mean[2].isnan()


@torch.no_grad()
def test_statistics_in_half_precision_do_not_overflow():
    layer = nn.Identity()
    with record_activation_statistics(nn.Sequential(layer), ["0"]) as statistics:
        layer(torch.tensor([[60000.0, -60000.0]], dtype=torch.float16))
    assert statistics["0"][0].std.item() == pytest.approx(60000, rel=1e-3)


@torch.no_grad()
def test_the_budget_holds_for_all_calls_together(network):
    with record_activations(network, ["0"], max_bytes=2 * 16) as outputs:
        network(torch.zeros(1, 3))
        network(torch.zeros(1, 3))
        with pytest.raises(RequestError, match="take more than max_bytes, which is 32; name fewer layers"):
            network(torch.zeros(1, 3))
    assert len(outputs["0"]) == 2


def test_an_unknown_layer_is_refused_with_those_that_are_close(tiny_model, num_hooks):
    with (
        pytest.raises(RequestError, match="no layer 'mid_blok'; it has such as mid_block"),
        record_activations(tiny_model.unet, ["conv_in", "mid_blok"]),
    ):
        pass
    assert num_hooks(tiny_model) == 0


def test_a_layer_that_puts_out_no_tensor_is_refused(tiny_model, begin):
    with record_activations(tiny_model.unet, ["down_blocks.0"]):
        steps = begin(tiny_model)
        with pytest.raises(RequestError, match="layer 'down_blocks.0' puts out a list, no tensor; name a part of it"):
            next(steps)
