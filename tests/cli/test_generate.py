"""``ldm-lab generate``: what it writes, what it says, and what a mistake looks like."""

import re
import shutil

import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab import cli
from ldm_lab.checkpoints import reference_to, save_autoencoder, save_model
from ldm_lab.conditioning import ClassLabelConfig
from ldm_lab.tasks import Picture


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


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory, make_tiny_model):
    model = make_tiny_model(conditioner=ClassLabelConfig(num_classes=2, width=8, names=("circle", "star")))
    root = tmp_path_factory.mktemp("models")
    save_autoencoder(root / "tiny-kl", model.autoencoder, recipe={})
    save_model(root / "tiny-class", model, first_stage=reference_to(root / "tiny-kl"), recipe={}, defaults={})
    return root / "tiny-class"


def run_task(task, model, output, *words) -> int:
    return cli.main(["generate", "--task", task, *words, "--model", str(model), "--output", str(output)])


@pytest.mark.parametrize("label", ["star", "1"])
def test_a_class_by_name_or_number(class_folder, tmp_path, label):
    assert run_task("class-to-image", class_folder, tmp_path, label, "--num-steps", "2", "--seeds", "7") == 0
    run = lab.load(class_folder).class_to_image("star", num_steps=2, seeds=[7])
    assert Image.open(tmp_path / "image-0-seed-7.png").tobytes() == run.images[0].tobytes()


def test_a_picture_and_a_mask_are_paths(tiny_folder, tmp_path):
    picture, mask = Image.effect_noise((16, 16), 90).convert("RGB"), Image.new("L", (16, 16))
    mask.paste(255, (8, 0, 16, 16))
    picture.save(tmp_path / "in.png")
    mask.save(tmp_path / "mask.png")
    paths = (str(tmp_path / "in.png"), str(tmp_path / "mask.png"))
    assert run_task("inpainting", tiny_folder, tmp_path / "out", *paths, "--prompt", "a star", "--num-steps", "2") == 0
    image = Image.open(tmp_path / "out" / "image-0-seed-0.png")
    assert image.crop((0, 0, 8, 16)).tobytes() == picture.crop((0, 0, 8, 16)).tobytes()
    assert lab.open_run(tmp_path / "out" / "image-0-seed-0.png").settings.image == Picture.of(picture)


def test_pictures_that_may_be_given_are_options(tiny_folder, tmp_path):
    for name in ("a.png", "b.png"):
        Image.effect_noise((16, 16), 90).convert("RGB").save(tmp_path / name)
    ends = ("--image", str(tmp_path / "a.png"), "--other-image", str(tmp_path / "b.png"))
    few = ("--num-steps", "2", "--num-frames", "3", "--num-iterations", "1")
    assert run_task("interpolation", tiny_folder, tmp_path / "out", *ends, *few) == 0
    assert lab.open_run(tmp_path / "out" / "frame-02.png").settings.other_image == Picture.of(tmp_path / "b.png")
    assert run_task("interpolation", tiny_folder, tmp_path / "seeds", *few) == 0
    assert lab.open_run(tmp_path / "seeds" / "frame-02.png").settings.seeds == (0, 1)
    assert run_task("variation", tiny_folder, tmp_path / "near", *ends[:2], *few[:2]) == 0


@pytest.mark.parametrize(
    ("task", "words", "sentence"),
    [
        ("video", [], "there is no task 'video'; choose one of unconditional"),
        ("class-to-image", ["zebra"], "class label is 'zebra'; choose one of circle, star"),
        ("class-to-image", ["2"], "class label is 2; give an integer from 0 to 1"),
        (
            "unconditional",
            [],
            "unconditional needs a model that is unconditional (shapes-uncond); this one is conditioned",
        ),
        ("image-to-image", ["none.png"], "'none.png' cannot be read"),
    ],
)
def test_a_mistake_in_any_task_is_one_sentence(class_folder, tmp_path, capsys, task, words, sentence):
    assert run_task(task, class_folder, tmp_path / "out", *words) == 2
    assert re.fullmatch(f"ldm-lab: .*{re.escape(sentence)}.*\n", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_task_without_its_name_is_one_sentence(capsys):
    assert cli.main(["generate", "x", "--task"]) == 2
    assert "--task needs the name of a task after it" in capsys.readouterr().err
