import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.sampling import SAMPLERS
from ldm_lab.tasks import TextToImageSettings

of = TextToImageSettings.of


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_steps": 0}, "num_steps is 0; it must be from 1 to 1000"),
        ({"num_steps": 1001}, "num_steps is 1001; it must be from 1 to 1000"),
        ({"num_steps": True}, "num_steps is True; expected int"),
        ({"num_steps": 20.5}, "num_steps is 20.5; expected int"),
        ({"num_steps": "20"}, "num_steps is '20'; expected int"),
        ({"num_steps": math.nan}, "num_steps is nan; expected int"),
        ({"guidance_scale": math.nan}, "guidance_scale is nan; it must be a finite number"),
        ({"guidance_scale": -math.inf}, "guidance_scale is -inf; it must be a finite number"),
        ({"guidance_scale": True}, "guidance_scale is True; expected float"),
        ({"guidance_scale": -0.1}, "guidance_scale is -0.1; it must be from 0.0 to 50.0"),
        ({"guidance_scale": 51}, "guidance_scale is 51; it must be from 0.0 to 50.0"),
        ({"guidance_rescale": 1.5}, "guidance_rescale is 1.5; it must be from 0.0 to 1.0"),
        ({"guidance_interval": (0.8, 0.2)}, r"guidance_interval is \(0.8, 0.2\); it must not end before it begins"),
        ({"guidance_interval": (0.0, math.nan)}, "guidance_interval is nan; it must be a finite number"),
        ({"guidance_interval": (0.0,)}, r"guidance_interval is \(0.0,\); expected"),
        ({"sampler": "magic"}, "sampler is 'magic'; choose one of ddpm, ddim"),
        ({"seeds": ()}, "there are 0 seeds; give one an image, from 1 to 64"),
        ({"seeds": tuple(range(65))}, "there are 65 seeds"),
        ({"seeds": (-2,)}, "seeds is -2; it must be from -1 to 4294967295"),
        ({"seeds": (2**32,)}, "seeds is 4294967296; it must be from -1 to 4294967295"),
        ({"seeds": (1, True)}, r"seeds is \(1, True\); expected a tuple of int"),
        ({"seeds": True}, "seeds is True; expected a tuple of int"),
        ({"seeds": (1.0,)}, r"seeds is \(1.0,\); expected a tuple of int"),
        ({"seeds": None}, "seeds is None; expected a tuple of int"),
        ({"width": 0}, "width is 0; it must be from 1 to 1024"),
        ({"height": 1025}, "height is 1025; it must be from 1 to 1024"),
        ({"height": False}, "height is False; expected int"),
        ({"prompt": None}, "prompt is None; expected str"),
        ({"prompt": "x" * 1001}, "prompt has 1001 characters; at most 1000"),
        ({"negative_prompt": "\ud800"}, r"prompt contains the lone surrogate U\+D800"),
        ({"steps": 3}, "has no field steps; it has: .*num_steps"),
    ],
)
def test_a_value_that_cannot_be_served_is_named(values, message):
    with pytest.raises(RequestError, match=message):
        of(**({"prompt": "a circle"} | values))


def test_a_prompt_is_needed():
    with pytest.raises(RequestError, match="needs a value for prompt"):
        of(seeds=3)


def test_what_a_person_types_is_understood():
    settings = of(prompt="", seeds=[1, 2], guidance_interval=[0.1, 0.9])
    assert settings.seeds == (1, 2)
    assert settings.guidance_interval == (0.1, 0.9)
    assert of(prompt="", seeds=7).seeds == (7,)


def test_none_is_taken_from_the_model_and_then_from_the_package():
    asked = of(prompt="a star", guidance_scale=1.0)
    resolved = asked.resolved(image_size=48, defaults=of(prompt="", num_steps=7, guidance_scale=9.0, width=32))
    assert (resolved.guidance_scale, resolved.num_steps, resolved.width, resolved.height) == (1.0, 7, 32, 48)
    assert None not in dataclasses.astuple(asked.resolved(image_size=48))


def test_resolving_twice_changes_nothing():
    once = of(prompt=" a\x00 star ", seeds=[-1, 3]).resolved(image_size=48)
    assert once.resolved(image_size=99, defaults=of(prompt="", num_steps=7)) == once
    assert once.prompt == "a star"


def test_a_random_seed_is_drawn_and_recorded():
    drawn = [of(prompt="", seeds=[-1, 5]).resolved(image_size=8).seeds for _ in range(3)]
    assert all(0 <= seeds[0] < 2**32 and seeds[1] == 5 for seeds in drawn)
    assert len(set(drawn)) == 3


def test_settings_survive_json():
    settings = of(prompt="ein Kreis ☺", seeds=[2**32 - 1], guidance_interval=(0.2, 0.8)).resolved(image_size=64)
    assert from_dict(TextToImageSettings, to_dict(settings)) == settings


def test_every_control_has_help_and_limits():
    for field in dataclasses.fields(TextToImageSettings):
        assert field.metadata["help"].endswith(".")
    assert TextToImageSettings.__dataclass_fields__["sampler"].metadata["choices"] == tuple(SAMPLERS)


_ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.lists(st.one_of(st.integers(-5, 2**33), st.floats(), st.booleans()), max_size=3),
)


@given(st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(TextToImageSettings)]), _ANYTHING))
def test_any_request_is_served_or_refused_in_one_sentence(values):
    try:
        settings = of(**({"prompt": ""} | values)).resolved(image_size=16)
    except LdmLabError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert 1 <= settings.num_steps <= 1000
    assert 0 <= settings.guidance_scale <= 50
    assert all(type(seed) is int and 0 <= seed < 2**32 for seed in settings.seeds)
