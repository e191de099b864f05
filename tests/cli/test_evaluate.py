"""``ldm-lab evaluate``: it looks at what the folder holds, and writes what it prints."""

import json

import pytest
from PIL import Image

from ldm_lab import cli


def test_a_text_model_is_judged_by_its_images(tiny_folder, tmp_path, capsys):
    assert cli.main(["evaluate", str(tiny_folder), "--num", "3", "--steps", "2", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "never-trained pairs" in printed
    assert "2 steps of ddim, guidance 2.5" in printed  # the sampler and guidance that the model recommends
    assert printed.startswith((tmp_path / "report.md").read_text())
    values = json.loads((tmp_path / "report.json").read_text())
    assert values["num_captions"] == {"test": 3, "unseen": 3}
    assert {path.name for path in tmp_path.glob("*.png")} == {"sheet-seen.png", "sheet-never-trained.png"}
    assert Image.open(tmp_path / "sheet-seen.png").width > 600


def test_a_first_stage_is_judged_by_its_reconstructions(tiny_folder, tmp_path, capsys):
    folder = tiny_folder.parent / "tiny-kl"
    assert cli.main(["evaluate", str(folder), "--num", "4", "--output", str(tmp_path)]) == 0
    assert "PSNR of the mean error" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.json"}


def test_nothing_is_written_unless_asked_for(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.main(["evaluate", str(tiny_folder.parent / "tiny-kl"), "--num", "2"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "there is no model 'nowhere'"),
        (["{folder}", "--num", "1"], "num is 1; give at least 2"),
        (["{folder}", "--steps", "0"], "num_steps is 0; it must be from 1 to 1000"),
        (["{folder}", "--guidance", "nan"], "guidance_scale is nan"),
    ],
)
def test_a_mistake_is_one_sentence(tiny_folder, capsys, words, sentence):
    assert cli.main(["evaluate", *(word.format(folder=tiny_folder) for word in words)]) == 2
    assert sentence in capsys.readouterr().err
