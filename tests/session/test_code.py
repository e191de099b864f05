import pytest

import ldm_lab as lab
from ldm_lab.session import lines_that_make, python_of
from ldm_lab.tasks import AddNoise, Branch, InpaintingSettings, LayoutToImageSettings, Recipe, TextToImageSettings


def carried_out(code, tiny_folder):
    names = {}
    exec(code.replace("'tiny'", repr(str(tiny_folder))), names)
    return names["run"]


def test_the_python_of_a_run_makes_it_again_bit_for_bit(tiny_folder):
    settings = TextToImageSettings.of(
        prompt='a "large" red circle\\', seeds=[3, 4], num_steps=2, guidance_interval=(0.2, 0.9), sampler="euler"
    )
    run = lab.load(tiny_folder).carry_out(settings)
    again = carried_out(python_of(settings, model="tiny"), tiny_folder)
    assert again.settings == run.settings
    assert [image.tobytes() for image in again.images] == [image.tobytes() for image in run.images]


def test_later_prompts_survive(tiny_folder):
    settings = TextToImageSettings.of(prompt="a star", later_prompts=((0.5, "a circle"),), num_steps=2)
    assert carried_out(python_of(settings, model="tiny"), tiny_folder).settings.later_prompts == ((0.5, "a circle"),)


def test_defaults_are_left_out_and_a_short_call_is_one_line():
    code = python_of(TextToImageSettings(prompt="a star"), model="shapes-text")
    assert code.splitlines()[2:] == [
        "model = lab.load('shapes-text')",
        "run = model.text_to_image(prompt='a star', seeds=[0])",
        "run",
    ]


def test_a_long_call_has_a_line_for_each_setting():
    code = python_of(TextToImageSettings(prompt="a star", negative_prompt="a circle " * 9), model="shapes-text")
    assert "    prompt='a star',\n" in code


def test_pictures_are_files_and_layouts_are_strings(picture):
    settings = InpaintingSettings.of(image=picture, mask=picture)
    assert "model.inpainting(image='image.png', mask='mask.png', seeds=[0])" in python_of(settings, model="m")
    layout = LayoutToImageSettings.of(layout="star red 0.1 0.2 0.5 0.6")
    code = python_of(layout, model="m")
    assert "layout=['star red 0.1 0.2 0.5 0.6']" in code
    names = {"lab": None}
    call = code.split("model.layout_to_image")[1].split("\n")[0]
    assert LayoutToImageSettings.of(**eval(f"dict{call}", names)) == layout


class TestLinesThatMakeARun:
    @pytest.fixture
    def run(self, tiny_folder):
        return lab.load(tiny_folder).text_to_image("a star", num_steps=3, sampler="ddim")

    def test_a_run_is_made_again(self, run, tiny_folder):
        again = carried_out("\n".join(lines_that_make(run, model="tiny")), tiny_folder)
        assert again.images[0].tobytes() == run.images[0].tobytes()

    def test_a_branch_is_opened_from_its_image(self, run, tiny_folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        model, recipe = lab.load(tiny_folder), Recipe((AddNoise(amount=0.5),))
        child = model.carry_out(run.settings, branch=Branch(parent=run, step=1, recipe=recipe))
        child.images[0].save("run.png")
        again = carried_out("\n".join(lines_that_make(child, model="tiny")), tiny_folder)
        assert again.branch.recipe == recipe
        assert again.images[0].tobytes() == child.images[0].tobytes() != run.images[0].tobytes()
