"""``ldm-lab generate``: what it writes, what it says, and what a mistake looks like."""

import re
import shutil

import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab import cli


def generate(model, output, *words: str, prompt: str = "a red circle") -> int:
    return cli.main(["generate", prompt, "--model", str(model), "--output", str(output), *words])


def test_four_images_their_strip_and_settings(tiny_folder, tmp_path, capsys):
    assert generate(tiny_folder, tmp_path / "out", "--num-steps", "3") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["grid.png", *(f"image-{i}-seed-{i}.png" for i in range(4)), "run.json", "strip.png"]
    printed = capsys.readouterr()
    assert str(tmp_path / "out") in printed.out
    assert "3/3" in printed.err  # the progress bar


def test_the_images_are_those_of_the_library(tiny_folder, tmp_path):
    generate(tiny_folder, tmp_path, "--num-steps", "3", "--seeds", "7", "--sampler", "euler-a")
    run = lab.load(tiny_folder).text_to_image("a red circle", num_steps=3, seeds=[7], sampler="euler-a")
    assert Image.open(tmp_path / "image-0-seed-7.png").tobytes() == run.images[0].tobytes()


def test_unknown_words_are_said(tiny_folder, tmp_path, capsys):
    generate(tiny_folder, tmp_path, "--num-steps", "1", prompt="a red zebra")
    assert re.search("note: .*zebra", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--num-steps", "0"], "num_steps is 0; it must be from 1 to 1000"),
        (["--guidance-scale", "nan"], "guidance_scale is nan; it must be a finite number"),
        (["--width", "17"], "17"),
        (["--seeds", "-5"], "seeds is -5; it must be from -1"),
        (["--seeds"], "there are 0 seeds"),
        (["--device", "gpu"], "device is 'gpu'"),
    ],
)
def test_a_bad_value_is_one_sentence_and_exit_code_2(tiny_folder, tmp_path, capsys, words, sentence):
    assert generate(tiny_folder, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"ldm-lab: .*{re.escape(sentence)}.*\n", error)
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_missing_or_damaged_is_one_sentence(tiny_folder, tmp_path, capsys):
    assert generate("no-such-model", tmp_path / "out") == 2
    assert "no-such-model" in capsys.readouterr().err
    damaged = tmp_path / "tiny-text"
    shutil.copytree(tiny_folder.parent, tmp_path, dirs_exist_ok=True)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    assert generate(damaged, tmp_path / "out") == 2
    assert re.fullmatch(r"ldm-lab: .*model.safetensors was altered.*\n", capsys.readouterr().err)


def test_a_folder_that_cannot_be_written_is_one_sentence(tiny_folder, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert generate(tiny_folder, tmp_path / "out", "--num-steps", "1") == 2
    assert str(tmp_path / "out") in capsys.readouterr().err.splitlines()[-1]
