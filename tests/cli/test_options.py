"""Options of the command line: one for each field of the settings, with its help, limits and choices."""

import dataclasses
import json

import pytest
import tyro

from ldm_lab.cli.options import given, options_of
from ldm_lab.core.config import setting
from ldm_lab.tasks import TextToImageSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Painting:
    prompt: str = setting(dataclasses.MISSING, help="What to paint.")
    seeds: tuple[int, ...] = setting((0,), help="One an image.", minimum=0, maximum=9)
    style: str | None = setting(None, help="How.", choices=("oil", "ink"))
    size: int = 64


Options = options_of(Painting, omit=("prompt",), seeds=(1, 2))


def parse(*words: str) -> dict:
    return given(tyro.cli(Options, args=words))


def test_defaults_are_those_of_the_settings_unless_others_are_named():
    assert parse() == {"seeds": (1, 2), "style": None, "size": 64}


def test_what_is_typed_is_passed_on():
    assert parse("--seeds", "7", "--style", "ink", "--size", "8") == {"seeds": (7,), "style": "ink", "size": 8}


@pytest.mark.parametrize("words", [["--style", "pastel"], ["--seeds", "x"], ["--prompt", "x"]])
def test_what_cannot_be_meant_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as exit:
        parse(*words)
    assert exit.value.code == 2
    assert words[0].strip("-") in capsys.readouterr().err


def test_help_and_limits_are_shown(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    page = " ".join(capsys.readouterr().out.split())
    assert "One an image. From 0 to 9." in page
    assert "{None,oil,ink}" in page


def test_every_setting_of_text_to_image_has_its_option():
    options = given(options_of(TextToImageSettings, omit=("prompt",))())
    assert set(options) == {field.name for field in dataclasses.fields(TextToImageSettings)} - {"prompt"}
    assert TextToImageSettings.of(prompt="a star", **json.loads(json.dumps(options))).prompt == "a star"
