"""``ldm-lab evaluate``: it looks at what the folder holds, and writes what it prints."""

import json

import pytest
from PIL import Image

from ldm_lab import cli
from ldm_lab.checkpoints import reference_to, save_autoencoder, save_model, zoo
from ldm_lab.conditioning import ClassLabelConfig


@pytest.fixture(scope="module")
def tiny_class_folder(tmp_path_factory, make_tiny_model):
    """A class-conditional model with its first stage beside it."""
    root = tmp_path_factory.mktemp("models")
    model = make_tiny_model(conditioner=ClassLabelConfig(num_classes=56, width=8))
    save_autoencoder(root / "tiny-kl", model.autoencoder, recipe={"seed": 0})
    save_model(root / "tiny-class", model, first_stage=reference_to(root / "tiny-kl"), recipe={"seed": 0})
    return root / "tiny-class"


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


def test_another_sampler_and_guidance_may_be_judged(tiny_folder, capsys):
    words = ["evaluate", str(tiny_folder), "--num", "2", "--steps", "2", "--guidance", "1.5", "--sampler", "euler-a"]
    assert cli.main(words) == 0
    assert "2 steps of euler-a, guidance 1.5" in capsys.readouterr().out


@pytest.fixture(scope="module")
def tiny_emoji_folder(tmp_path_factory, tiny_model):
    """A text model that says of itself that it was trained on emoji, with its first stage beside it."""
    root, recipe = tmp_path_factory.mktemp("models"), {"data": {"world": "emoji", "size": 16}}
    save_autoencoder(root / "emoji-kl", tiny_model.autoencoder, recipe=recipe)
    save_model(root / "emoji-text", tiny_model, first_stage=reference_to(root / "emoji-kl"), recipe=recipe)
    return root / "emoji-text"


@pytest.mark.usefixtures("stand_in_emoji")
def test_a_model_of_emoji_is_judged_by_the_drawings_it_is_like(tiny_emoji_folder, tmp_path, capsys):
    words = ["evaluate", str(tiny_emoji_folder), "--num", "3", "--steps", "1", "--output", str(tmp_path)]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "| seen names (3 images)" in printed
    assert "below the bar: true drawing is the nearest of all (seen names)" in printed
    trials = [f"sheet-{number}.png" for number in range(1, 5)]
    sheets = {*trials, "sheet-inpainting.png", "sheet-interpolation.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.json", *sheets}


@pytest.mark.usefixtures("stand_in_emoji")
def test_a_first_stage_of_emoji_is_judged_on_those_held_out(tiny_emoji_folder, tiny_catalogue, capsys):
    assert cli.main(["evaluate", str(tiny_emoji_folder.parent / "emoji-kl")]) == 0
    printed = capsys.readouterr().out
    assert f"{len(tiny_catalogue.held_out)} held-out images" in printed
    assert "read by rules" not in printed


@pytest.mark.parametrize("name", ["emoji-kl", "emoji-text"])
def test_without_their_files_emoji_cannot_be_judged(tiny_emoji_folder, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("LDM_LAB_EMOJI", str(tmp_path))
    assert cli.main(["evaluate", str(tiny_emoji_folder.parent / name)]) == 2
    error = capsys.readouterr().err
    assert f"the emoji need {tmp_path / 'NotoColorEmoji.ttf'}" in error
    assert "fonts-noto-color-emoji" in error


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
        (["{folder}", "--sampler", "magic"], "sampler is 'magic'"),
    ],
)
def test_a_mistake_is_one_sentence(tiny_folder, capsys, words, sentence):
    assert cli.main(["evaluate", *(word.format(folder=tiny_folder) for word in words)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_model_of_another_kind_is_judged_by_its_task(tiny_class_folder, tmp_path, capsys):
    words = ["evaluate", str(tiny_class_folder), "--num", "4", "--steps", "2", "--output", str(tmp_path)]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "class to image (4 images)" in printed
    assert "below the bar: shows the class" in printed
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.json", "sheet-1.png"}


def test_a_task_stands_for_its_shipped_model(tiny_class_folder, monkeypatch, capsys):
    monkeypatch.setattr("ldm_lab.cli.evaluate.locate_model", {"shapes-class": tiny_class_folder}.__getitem__)
    assert cli.main(["evaluate", "--task", "class", "--num", "2", "--steps", "1"]) == 0
    assert "class to image (2 images)" in capsys.readouterr().out


def test_first_stages_of_other_worlds_have_no_row(tiny_emoji_folder, monkeypatch, capsys):
    folders = {"shapes-kl-f4": zoo.ZOO / "shapes-kl-f4", "emoji-kl": tiny_emoji_folder.parent / "emoji-kl"}
    monkeypatch.setattr("ldm_lab.cli.evaluate.shipped_first_stages", lambda: list(folders))
    monkeypatch.setattr("ldm_lab.cli.evaluate.locate_first_stage", folders.__getitem__)
    assert cli.main(["evaluate", "--task", "first-stages", "--num", "2"]) == 0
    assert "| emoji-kl" not in capsys.readouterr().out


def test_first_stages_stand_side_by_side(tmp_path, capsys):
    assert cli.main(["evaluate", "--task", "first-stages", "--num", "2", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| shapes-kl-f4 |" in printed
    assert "shapes-kl-f4" in json.loads((tmp_path / "report.json").read_text())["first_stages"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing is named to evaluate"),
        (["{folder}", "--task", "class"], "the task 'class' are given"),
    ],
)
def test_a_model_or_a_task(tiny_folder, capsys, words, sentence):
    assert cli.main(["evaluate", *(word.format(folder=tiny_folder) for word in words)]) == 2
    assert sentence in capsys.readouterr().err
