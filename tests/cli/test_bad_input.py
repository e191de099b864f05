"""What a user can get wrong, at the command line: each is one sentence and exit code 2, or defined and said."""

import json
import shutil
import subprocess
import sys

import pytest

from ldm_lab.cli import main
from ldm_lab.core.io import write_manifest


@pytest.fixture
def generate(tiny_folder, tmp_path, capsys):
    """Runs ``ldm-lab generate`` with the tiny model; returns exit code, standard output and standard error."""

    def run(*words, model=tiny_folder):
        code = main(["generate", *words, "--model", str(model), "--output", str(tmp_path / "out")])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["x", "--num-steps", "1001"], "num_steps is 1001; it must be from 1 to 1000"),
        (["x", "--num-steps", "-1"], "num_steps is -1"),
        (["x", "--guidance-scale", "inf"], "guidance_scale is inf; it must be a finite number"),
        (["x", "--guidance-scale", "50.1"], "guidance_scale is 50.1; it must be from 0.0 to 50.0"),
        (["x", "--guidance-rescale", "nan"], "guidance_rescale is nan"),
        (["x", "--guidance-interval", "0.9", "0.1"], "guidance_interval is (0.9, 0.1)"),
        (["x", "--seeds", "4294967296"], "seeds is 4294967296; it must be from -1 to 4294967295"),
        (["x", "--width", "30"], "width is 30; it must be a multiple of 4, the nearest is 28 or 32"),
        (["x", "--height", "2"], "height is 2; it must be a multiple of 4, the nearest is 4"),
        (["x", "--height", "4096"], "height is 4096; it must be from 1 to 1024"),
        (["x" * 1001], "prompt has 1001 characters; at most 1000 are read"),
        (["x", "--negative-prompt", "\udcff"], "lone surrogate U+DCFF"),
    ],
)
def test_a_value_out_of_range_is_one_sentence(generate, words, sentence):
    code, _, error = generate(*words)
    assert code == 2
    assert sentence in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "words", [["x", "--num-steps", "true"], ["x", "--num-steps", "2.5"], ["x", "--seeds", "one"], ["x", "--stpes", "3"]]
)
def test_what_is_no_number_or_no_option_exits_with_2_and_is_named(generate, capsys, words):
    with pytest.raises(SystemExit) as exit:
        generate(*words)
    printed = capsys.readouterr()
    assert exit.value.code == 2
    assert words[1] in printed.out + printed.err


def test_an_empty_prompt_is_unconditional_and_what_is_cut_off_is_said(generate):
    assert "note: the prompt is empty: the images are unconditional" in generate("", "--seeds", "1")[1]
    code, out, _ = generate("a zebra " + "star " * 9, "--seeds", "1")
    assert code == 0
    assert "note: the model never saw 'zebra'" in out
    assert "note: the prompt has 11 tokens, the encoder reads 6: dropped 'star" in out


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(bytes(data))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def make_another_version(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    (folder / "manifest.json").unlink()
    write_manifest(folder)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (shutil.rmtree, "there is no model"),
        (lambda folder: shutil.rmtree(folder) or folder.mkdir(), "is no checkpoint"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: truncate(folder / "model.safetensors"), "model.safetensors has "),
        (lambda folder: flip_a_bit(folder / "model.safetensors"), "model.safetensors was altered"),
        (lambda folder: flip_a_bit(folder / "config.json"), "config.json was altered"),
        (make_another_version, "has version 99, but this ldm_lab reads version 1"),
        (lambda folder: shutil.rmtree(folder.parent / "tiny-kl"), "needs the first stage 'tiny-kl'"),
        (lambda folder: flip_a_bit(folder.parent / "tiny-kl" / "model.safetensors"), "model.safetensors was altered"),
    ],
)
def test_a_damaged_model_is_one_sentence(generate, tiny_folder, tmp_path, damage, sentence):
    shutil.copytree(tiny_folder.parent, tmp_path / "models")
    damage(tmp_path / "models" / "tiny-text")
    code, _, error = generate("x", model=tmp_path / "models" / "tiny-text")
    assert code == 2
    assert sentence in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_the_cold_command_loads_nothing_that_it_does_not_need(tiny_folder, tmp_path):
    words = ["generate", "a star", "--model", str(tiny_folder), "--output", str(tmp_path / "out")]
    code = (
        f"import sys; from ldm_lab.cli import main; main({words!r}); "
        "heavy = {'transformers', 'accelerate', 'torchvision', 'matplotlib', 'lpips', 'IPython'}; "
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "loaded: []" in result.stdout
