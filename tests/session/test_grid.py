import pytest

from ldm_lab.core.errors import RequestError
from ldm_lab.session import Axis, CellStore, axis_names, cells_of
from ldm_lab.tasks import TextToImageSettings

TEXT = TextToImageSettings


def read(name, text):
    return Axis.read(TEXT, name, text)


def test_an_axis_is_read_as_its_setting_holds_it():
    assert read("num_steps", " 5, 10,20 ").values == (5, 10, 20)
    assert read("guidance_scale", "1, 2.5").values == (1.0, 2.5)
    assert read("sampler", "ddim, euler").values == ("ddim", "euler")
    assert read("prompt", '"a star, red", a circle').values == ("a star, red", "a circle")
    assert read("seed", "7,8").values == (7, 8)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("num_steps", "5, many", "num_steps takes whole numbers, and 'many' is none"),
        ("num_steps", "2.5", "num_steps takes whole numbers, and '2.5' is none"),
        ("guidance_scale", "x", "guidance_scale takes numbers, and 'x' is none"),
        ("sampler", "", "sampler has 0 values; an axis takes 1 to 20"),
        ("seed", ",".join("1" * 21), "seed has 21 values; an axis takes 1 to 20"),
        ("later_prompts", "a", "'later_prompts' cannot be an axis; choose one of seed, num_steps"),
    ],
)
def test_what_cannot_be_an_axis_is_refused(name, text, sentence):
    with pytest.raises(RequestError, match=sentence):
        read(name, text)


def test_an_axis_may_be_of_models_and_leaves_the_settings_alone():
    axis = Axis.of_models('shapes-text, runs/a, "runs/b, c"')
    assert axis == Axis(name="model", values=("shapes-text", "runs/a", "runs/b, c"))
    settings = TEXT(prompt="a star")
    assert axis.place(settings, 2) == settings
    with pytest.raises(RequestError, match="model has 0 values; an axis takes 1 to 20"):
        Axis.of_models(" , ")


def test_cells_vary_along_rows_and_columns_and_have_one_seed():
    settings = TEXT.of(prompt="a star", seeds=[3, 4])
    rows = cells_of(settings, read("num_steps", "2,4"), read("guidance_scale", "1,3,5"))
    assert [[(cell.num_steps, cell.guidance_scale) for cell in row] for row in rows] == [
        [(2, 1.0), (4, 1.0)],
        [(2, 3.0), (4, 3.0)],
        [(2, 5.0), (4, 5.0)],
    ]
    assert {cell.seeds for row in rows for cell in row} == {(3,)}


def test_a_part_of_the_prompt_is_replaced_and_else_the_whole():
    settings = TEXT(prompt="a red star")
    assert [cell.prompt for cell in cells_of(settings, read("prompt", "red, blue"))[0]] == ["a red star", "a blue star"]
    assert [cell.prompt for cell in cells_of(settings, read("prompt", "x, y"))[0]] == ["x", "y"]


def test_a_value_out_of_range_two_equal_axes_and_too_many_cells_are_refused():
    settings = TEXT(prompt="a")
    with pytest.raises(RequestError, match="num_steps is 0; it must be from 1"):
        cells_of(settings, read("num_steps", "0"))
    with pytest.raises(RequestError, match="both axes are seed"):
        cells_of(settings, read("seed", "1"), read("seed", "2"))
    with pytest.raises(RequestError, match="the grid has 121 cells; at most 100 are made"):
        cells_of(settings, read("seed", ",".join("1" * 11)), read("num_steps", ",".join("2" * 11)))


def test_what_an_axis_may_be():
    assert axis_names(TEXT) == [
        "seed",
        "num_steps",
        "sampler",
        "width",
        "height",
        "guidance_scale",
        "guidance_rescale",
        "prompt",
        "negative_prompt",
        "guidance_outside",
    ]


def test_a_cell_is_found_again_with_its_run(tmp_path, pipeline, settings):
    run = pipeline.carry_out(settings(num_steps=2))
    store, origin = CellStore(tmp_path), run.provenance.model
    assert store.find(run.settings, origin) is None
    store.keep(run.images[0], run.settings, origin)
    found = CellStore(tmp_path).find(run.settings, origin)
    assert found.tobytes() == run.images[0].tobytes()
    assert found.info == run.images[0].info
    assert store.find(settings(num_steps=2, seeds=[2]), origin) is None
    (file,) = tmp_path.glob("*.png")
    file.write_bytes(file.read_bytes()[:50])
    assert store.find(run.settings, origin) is None
