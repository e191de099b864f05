import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_lab.conditioning import LayoutTransformer, LayoutTransformerConfig
from ldm_lab.conditioning.layout_transformer import place_waves
from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import ConfigError, RequestError
from ldm_lab.core.layout import LayoutObject

SHAPES, COLORS = ("circle", "square", "star"), ("red", "blue")
SIZES = {"width": 8, "depth": 2, "num_heads": 2, "head_channels": 4}
STAR = LayoutObject(("star", "blue"), (0.0, 0.0, 0.5, 1.0))
CIRCLE = LayoutObject(("circle", "red"), (0.25, 0.5, 1.0, 0.75))


def build(**changes):
    torch.manual_seed(0)
    options = SIZES | {"vocabularies": (SHAPES, COLORS), "max_objects": 3, "grid": 5} | changes
    model = LayoutTransformer(LayoutTransformerConfig(**options))
    for parameter in model.parameters():  # away from the starting values, where zeros and ones hide mistakes
        torch.nn.init.normal_(parameter, std=0.3)
    return model.double()


def read_tokens(tokens, config):
    """The other direction, written on its own: tokens of one layout → names and boxes."""
    words = [word for vocabulary in config.vocabularies for word in vocabulary]
    found = []
    for *names, first, second in torch.tensor(tokens).reshape(-1, len(config.vocabularies) + 2).tolist():
        if first == len(words) + config.grid**2:
            continue
        corners = [divmod(corner - len(words), config.grid)[::-1] for corner in (first, second)]  # (x, y) each
        found.append(
            (tuple(words[name] for name in names), [place / (config.grid - 1) for xy in corners for place in xy])
        )
    return found


def test_tokens_of_a_layout_by_hand():
    """Five words, 25 places row by row, nothing = 30; corners of STAR: (0, 0) and (2, 4); of CIRCLE: (1, 2), (4, 3)."""
    tokens = build().prepare([(STAR, CIRCLE), ()])["tokens"]
    star, circle, nothing = [2, 4, 5 + 0, 5 + 4 * 5 + 2], [0, 3, 5 + 2 * 5 + 1, 5 + 3 * 5 + 4], [30] * 4
    assert tokens.tolist() == [star + circle + nothing, nothing * 3]


def test_pooled_vector_sums_the_tokens_of_objects_and_of_nothing_else():
    cond = build(pooled=True).encode([(STAR, CIRCLE), ()])
    torch.testing.assert_close(cond.vector[0], cond.context[0, :8].sum(0) / 8**0.5)
    assert not cond.vector[1].any()


def test_corners_are_counted_as_in_taming():
    """The example in its ``tokenize_coordinates``: 16 places; second row, third column is 6, the last one is 15."""
    model = build(vocabularies=(("a",),), grid=4, max_objects=1)
    item = LayoutObject(("a",), (2 / 3, 1 / 3, 1.0, 1.0))
    assert model.prepare([(item,)])["tokens"].tolist() == [[0, 1 + 6, 1 + 15]]


sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: pair[0] != pair[1]).map(sorted)
objects = st.builds(
    lambda shape, color, x, y: LayoutObject((shape, color), (x[0], y[0], x[1], y[1])),
    st.sampled_from(SHAPES),
    st.sampled_from(COLORS),
    sides,
    sides,
)
MODEL = build(grid=17)


@given(st.lists(objects, max_size=3))
def test_tokens_say_what_the_layout_says_to_half_a_cell(layout):
    found = read_tokens(MODEL.prepare([tuple(layout)])["tokens"][0].tolist(), MODEL.config)
    assert [names for names, _ in found] == [item.names for item in layout]
    for (_, box), item in zip(found, layout, strict=True):
        assert box == pytest.approx(item.box, abs=0.5 / 16 + 1e-12)


def test_every_word_and_corner_matters():
    model = build()
    changed = [
        LayoutObject(("circle", "blue"), STAR.box),
        LayoutObject(("star", "red"), STAR.box),
        *(
            LayoutObject(STAR.names, box)
            for box in ((0.25, 0.0, 0.5, 1.0), (0.0, 0.25, 0.5, 1.0), (0.0, 0.0, 1.0, 1.0))
        ),
        LayoutObject(STAR.names, (0.0, 0.0, 0.5, 0.75)),
    ]
    context = model.encode([(item, CIRCLE) for item in (STAR, *changed)]).context
    assert all((context[0] - other).abs().max() > 0.01 for other in context[1:])


def test_context_has_a_token_for_each_part_of_each_object():
    model = build()
    cond = model.encode([(STAR,), ()])
    assert list(cond.parts()) == ["context"]
    assert cond.context.shape == (2, 3 * 4, 8)
    assert (model.context_dim, model.vector_dim, model.concat_channels) == (8, None, 0)


def test_layouts_do_not_see_each_other():
    model = build()
    layouts = [(STAR, CIRCLE), (CIRCLE,), ()]
    alone = torch.cat([model.encode([layout]).context for layout in layouts])
    torch.testing.assert_close(model.encode(layouts).context, alone, rtol=0, atol=1e-12)


def test_places_begin_alike_where_they_are_near():
    grid, width = 9, 32
    waves = place_waves(grid, width)
    torch.testing.assert_close(waves.square().mean(1), torch.ones(grid**2))
    alike = (
        (waves @ waves.T / width).unflatten(0, (grid, grid)).unflatten(2, (grid, grid))
    )  # (row, column, row, column)
    here = alike[4, 4]
    assert here[4, 4] == here.max()
    for near, far in (((4, 5), (4, 8)), ((5, 4), (8, 4)), ((4, 5), (5, 5))):
        assert here[near] > here[far]
    torch.testing.assert_close(here, here.T)  # rows and columns are told apart, and treated alike
    config = LayoutTransformerConfig(vocabularies=(SHAPES, COLORS), grid=grid, max_objects=3, **SIZES)
    table = LayoutTransformer(config).token_embedding.weight.detach()
    torch.testing.assert_close(table[5 : 5 + grid**2], place_waves(grid, SIZES["width"]))
    assert len(table.unique(dim=0)) == config.vocab_size


def test_papers_layout_encoder_has_the_papers_size():
    """The reference has a table of 8,192 rows and 92 positions; ours here 91 words + 90 · 90 places + nothing, and 90.

    What it has more are two positions for the crop and a head that it never calls.
    """
    with torch.device("meta"):
        model = LayoutTransformer(LayoutTransformerConfig(vocabularies=(tuple(map(str, range(91))),)))
    assert model.token_embedding.num_embeddings == 8192
    unused_logits, crop_positions = 512 * 8192 + 8192, 2 * 512
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == 54_654_976
    assert count + crop_positions + unused_logits == 58_858_496


def test_unknown_names_are_refused_with_the_list():
    with pytest.raises(RequestError, match="is called 'hexagon'; choose one of circle, square, star$"):
        build().prepare([(LayoutObject(("hexagon", "red"), STAR.box),)])
    with pytest.raises(RequestError, match="is called 'star'; choose one of red, blue$"):
        build().prepare([(LayoutObject(("star", "star"), STAR.box),)])


@pytest.mark.parametrize("names", [(), ("star",), ("star", "red", "large")])
def test_one_name_of_each_kind_is_needed(names):
    message = f"has the names {names}; give 2, one of each of: circle, square, star; red, blue"
    with pytest.raises(RequestError, match=re.escape(message)):
        build().prepare([(LayoutObject(names, STAR.box),)])


def test_more_objects_than_tokens_are_refused():
    assert build().prepare([(STAR,) * 3])["tokens"].shape == (1, 12)
    with pytest.raises(RequestError, match="the layout has 4 objects; this model reads at most 3"):
        build().prepare([(), (STAR,) * 4])


@pytest.mark.parametrize("y", [[None], [STAR], [[STAR]], [("star",)]])
def test_what_is_no_layout_is_refused(y):
    with pytest.raises(RequestError, match="a layout is .* give a tuple of LayoutObject"):
        build().prepare(y)


def test_notes_name_boxes_too_small_for_the_grid():
    model = build()
    assert model.notes([(STAR, CIRCLE), ()]) == []
    narrow = LayoutObject(("star", "red"), (0.5, 0.0, 0.6, 1.0))
    assert model.notes([(narrow, STAR), (narrow,)]) == [
        "the box of star red is (0.5, 0.0, 0.6, 1.0), narrower than the model can see (one part in 4)"
    ]


def test_config_survives_json_and_refuses_nonsense():
    config = build().config
    assert from_dict(LayoutTransformerConfig, to_dict(config)) == config
    with pytest.raises(ConfigError, match=r"vocabularies is \(\('a',\), \(\)\); give at least one list"):
        LayoutTransformerConfig(vocabularies=(("a",), ()))
    with pytest.raises(ConfigError, match="the word 'a' occurs more than once"):
        LayoutTransformerConfig(vocabularies=(("a", "b", "a"),))
    with pytest.raises(ConfigError, match="grid is 1; it must be from 2"):
        LayoutTransformerConfig(vocabularies=(("a",),), grid=1)
