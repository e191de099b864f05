"""Options of the command line: one for each field of the settings, with its help, limits and choices."""

import dataclasses
from pathlib import Path

import pytest
import tyro

from ldm_lab.cli.options import given, options_of
from ldm_lab.core.config import setting
from ldm_lab.tasks import TASKS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Painting:
    prompt: str = setting(dataclasses.MISSING, help="What to paint.")
    seeds: tuple[int, ...] = setting((0,), help="One an image.", minimum=0, maximum=9)
    style: str | None = setting(None, help="How.", choices=("oil", "ink"))
    size: int = 64


Options = options_of(Painting, seeds=(1, 2))


def parse(*words: str) -> dict:
    values = given(tyro.cli(Options, args=("a star", *words)))
    assert values.pop("prompt") == "a star"
    return values


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


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_of_a_task_has_its_option(name):
    settings = TASKS[name].settings
    fields = dataclasses.fields(settings)
    required = ["x" for field in fields if field.default is dataclasses.MISSING]
    values = given(tyro.cli(options_of(settings), args=required))
    assert set(values) == {field.name for field in fields}
    assert all(values[field.name] == field.default for field in fields if field.default is not dataclasses.MISSING)


def test_pictures_are_paths_and_prompts_may_come_later():
    values = given(tyro.cli(options_of(TASKS["inpainting"].settings), args=["in.png", "mask.png"]))
    assert (values["image"], values["mask"]) == (Path("in.png"), Path("mask.png"))
    words = ["a star", "--later-prompts", "0.4", "a circle", "8", "a square"]
    values = given(tyro.cli(options_of(TASKS["text_to_image"].settings), args=words))
    assert values["later_prompts"] == ((0.4, "a circle"), (8.0, "a square"))
    label = options_of(TASKS["class_to_image"].settings)
    assert [given(tyro.cli(label, args=[word]))["label"] for word in ("3", "star")] == [3, "star"]
