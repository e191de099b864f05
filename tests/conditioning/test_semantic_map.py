import pytest
import torch
import torch.nn.functional as F

from ldm_lab.conditioning import SemanticMap, SemanticMapConfig, presets
from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import ConfigError, RequestError
from ldm_lab.core.seeding import generator

NAMES = ("sky", "sea", "sand", "tree", "rock")


def build(**changes):
    torch.manual_seed(0)
    return SemanticMap(SemanticMapConfig(**{"num_classes": 5, "channels": 3, "num_halvings": 2} | changes)).double()


def draw_map(height=8, width=12, seed=0):
    return torch.randint(5, (height, width), generator=generator(seed))


@pytest.mark.parametrize("halvings", [0, 1, 2])
def test_cells_hold_the_shares_of_their_classes(halvings):
    """A second implementation: counting the pixels of each class in each cell."""
    model, labels = build(num_halvings=halvings), draw_map()
    side = 2**halvings
    cells = labels.unfold(0, side, side).unfold(1, side, side).flatten(2)  # (h, w, side²)
    shares = torch.stack([(cells == k).double().mean(-1) for k in range(5)])  # (5, h, w)
    expected = torch.einsum("ck,khw->chw", model.channel_mapper.weight[:, :, 0, 0], shares)
    concat = model.encode([labels]).concat
    assert concat.shape == (1, 3, 8 // side, 12 // side)
    torch.testing.assert_close(concat[0], expected, rtol=0, atol=1e-12)


def test_equals_the_rescaler_of_the_reference_on_noise():
    """Bilinear halving of one-hot maps, twice, before the convolution and not after it."""
    model, labels = build(), draw_map()
    h = torch.eye(5, dtype=torch.float64)[labels].permute(2, 0, 1)[None]
    for size in ((4, 6), (2, 3)):
        h = F.interpolate(h, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.encode([labels]).concat, model.channel_mapper(h), rtol=0, atol=1e-12)


def test_papers_rescaler_has_the_papers_size():
    model = SemanticMap(presets.semantic_synthesis256())
    assert model.channel_mapper.weight.shape == (3, 182, 1, 1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 182 * 3
    assert model.config.factor == 4


def test_any_size_and_integer_type_is_read():
    model = build()
    for dtype in (torch.uint8, torch.int32, torch.int64):
        assert model.encode([draw_map(16, 4).to(dtype)] * 2).concat.shape == (2, 3, 4, 1)
    assert (model.context_dim, model.vector_dim, model.concat_channels) == (None, None, 3)


def test_gradients_reach_the_convolution():
    model = build()
    model.encode([draw_map()]).concat.square().sum().backward()
    assert model.channel_mapper.weight.grad.abs().min() > 0


@pytest.mark.parametrize(("value", "shown"), [(5, 5), (-1, -1), (255, 255)])
def test_unknown_classes_are_refused(value, shown):
    labels = draw_map()
    labels[3, 4] = value
    with pytest.raises(RequestError, match=f"holds class {shown}; this model knows 0 to 4$"):
        build().prepare([labels])
    with pytest.raises(
        RequestError, match=f"holds class {shown}; this model knows 0 to 4: sky, sea, sand, tree, rock$"
    ):
        build(names=NAMES).prepare([labels])


def test_sides_must_fit():
    with pytest.raises(RequestError, match="has 12 x 6 pixels; both must be multiples of 4"):
        build().prepare([draw_map(6, 12)])
    with pytest.raises(RequestError, match="the semantic maps of one batch are 12 x 8 and 8 x 8 pixels"):
        build().prepare([draw_map(8, 12), draw_map(8, 8)])


@pytest.mark.parametrize(
    "labels",
    [torch.zeros(8, 8), torch.zeros(8, 8, dtype=torch.bool), torch.zeros(1, 8, 8).long(), torch.zeros(0, 8).long()],
)
def test_what_is_no_map_is_refused(labels):
    with pytest.raises(RequestError, match=r"a semantic map is torch\.\w+ of shape"):
        build().prepare([labels])


def test_there_is_no_null():
    assert not build().has_null
    with pytest.raises(
        RequestError, match=r"condition 1 is None; this model needs a semantic map \(Tensor\) for every"
    ):
        build().prepare([draw_map(), None])


def test_config_survives_json_and_refuses_nonsense():
    config = SemanticMapConfig(num_classes=5, names=NAMES)
    assert from_dict(SemanticMapConfig, to_dict(config)) == config
    with pytest.raises(ConfigError, match="names has 5 entries, but num_classes is 4"):
        SemanticMapConfig(num_classes=4, names=NAMES)
