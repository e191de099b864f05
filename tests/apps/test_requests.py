"""What a visitor may ask, without a server."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.studio.requests import MAX_IMAGES, MAX_PIXEL_STEPS, MAX_STEPS, request, seeds_from
from ldm_lab.core.errors import LdmLabError, RequestError


def ask(card, **values):
    return request("text_to_image", {"prompt": "a star"} | values, card=card)


def test_whole_numbers_may_come_as_floats(card):
    settings = ask(card, num_steps=7.0, seeds=[3.0, 4])
    assert (settings.num_steps, settings.seeds) == (7, (3, 4))
    assert all(type(number) is int for number in (settings.num_steps, *settings.seeds))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"num_steps": 3.7}, "num_steps is 3.7; expected int"),
        ({"num_steps": True}, "num_steps is True; expected int"),
        ({"num_steps": float("nan")}, "num_steps is nan"),
        ({"num_steps": 201}, "num_steps is 201; this page takes at most 200"),
        ({"seeds": [2**64]}, "seeds is 18446744073709551616; it must be from -1"),
        ({"seeds": list(range(5))}, "5 images were asked for; this page makes at most 4"),
        ({"guidance_scale": float("inf")}, "guidance_scale is inf; it must be a finite number"),
        ({"guidance_scale": "3"}, "guidance_scale is '3'"),
        ({"prompt": "\ud800"}, "lone surrogate U\\+D800"),
        ({"prompt": "x" * 1001}, "prompt has 1001 characters; at most 1000 are read"),
        ({"prompt": ["a star"]}, "prompt is \\['a star'\\]; expected str"),
        ({"width": 1024, "height": 1024, "num_steps": 100}, "pixels × steps × images are 104 million"),
        ({"colour": "red"}, "has no field colour"),
    ],
)
def test_what_is_not_accepted_is_said_in_one_sentence(card, values, sentence):
    with pytest.raises(RequestError, match=sentence):
        ask(card, **values)


def test_a_model_s_own_defaults_count_for_the_limits(card):
    assert ask(card).num_steps is None
    assert card.resolved(ask(card)).num_steps == 3  # what the toy model recommends


def test_seeds_follow_each_other_or_are_all_drawn():
    assert seeds_from(5, 3.0) == (5, 6, 7)
    assert seeds_from(-1, 2) == (-1, -1)
    for seed, count, sentence in (
        (1.5, 1, "seed is 1.5"),
        (True, 1, "seed is True"),
        (0, 5, "images is 5"),
        (0, 0, "0"),
    ):
        with pytest.raises(RequestError, match=sentence):
            seeds_from(seed, count)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.text(max_size=1200),
    st.lists(st.integers(-5, 2**40), max_size=6),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.binary(max_size=8),
)


@settings(max_examples=5000 if "LDM_LAB_FULL" in os.environ else 50)
@given(
    values=st.fixed_dictionaries(
        {"prompt": st.one_of(st.text(max_size=50), ODD)},
        optional={
            "num_steps": st.one_of(st.integers(1, 300), ODD),
            "seeds": st.one_of(st.lists(st.integers(-1, 9), min_size=1, max_size=5), ODD),
            "guidance_scale": st.one_of(st.floats(0, 60), ODD),
            "guidance_interval": ODD,
            "sampler": st.one_of(st.sampled_from(["ddim", "euler"]), ODD),
            "width": st.one_of(st.integers(1, 1200), ODD),
            "later_prompts": ODD,
            "negative_prompt": ODD,
        },
    )
)
def test_every_request_is_within_the_limits_or_refused_by_an_error_of_ours(card_for_all, values):
    try:
        asked = request("text_to_image", values, card=card_for_all)
    except LdmLabError:
        return
    resolved = card_for_all.resolved(asked)
    assert 1 <= len(resolved.seeds) <= MAX_IMAGES
    assert 1 <= resolved.num_steps <= MAX_STEPS
    assert resolved.width * resolved.height * resolved.num_steps * len(resolved.seeds) <= MAX_PIXEL_STEPS
    assert len(resolved.prompt) <= 1000


@pytest.fixture(scope="module")
def card_for_all(make_models):
    return make_models().card("tiny-text")
