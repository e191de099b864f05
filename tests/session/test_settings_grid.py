import csv

import pytest
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.session import Axis
from ldm_lab.session.settings_grid import SettingsGrid, seconds_a_step
from ldm_lab.tasks import TextToImageSettings

SETTINGS = TextToImageSettings.of(prompt="a star", seeds=[3])
X, Y = Axis(name="num_steps", values=(1, 2)), Axis(name="guidance_scale", values=(1.0, 2.5, 4.0))
Z = Axis(name="sampler", values=("ddim", "euler"))


@pytest.fixture
def grid():
    return SettingsGrid(SETTINGS, [X, Y, Z])


def test_the_first_axis_varies_fastest_and_the_third_slowest(grid):
    asked = [(cell.settings.num_steps, cell.settings.guidance_scale, cell.settings.sampler) for cell in grid.cells]
    assert asked == [(x, y, z) for z in Z.values for y in Y.values for x in X.values]
    assert [cell.values for cell in grid.cells] == asked
    assert (grid.num_columns, grid.cells_a_page) == (2, 6)
    assert grid.labels(1) == ["guidance scale 1", "guidance scale 2.5", "guidance scale 4"]
    assert SettingsGrid(SETTINGS, [X]).labels(1) == []
    assert grid.name_of(9) == "steps 2, guidance scale 2.5, sampler euler"


def test_cells_of_one_model_are_made_together_wherever_its_axis_stands():
    models = Axis.of_models("b, a")
    for axes, order in (
        ([X, models], [0, 1, 2, 3]),
        ([models, X], [0, 2, 1, 3]),
        ([models, X, Z], [0, 2, 4, 6, 1, 3, 5, 7]),
    ):
        grid = SettingsGrid(SETTINGS, axes)
        assert grid.order == order
        assert [grid.cells[number].model for number in grid.order] == ["b"] * (len(order) // 2) + ["a"] * (
            len(order) // 2
        )
    assert grid.name_of(1) == "model a, steps 1, sampler ddim"
    assert SettingsGrid(SETTINGS, [X]).order == [0, 1]
    assert SettingsGrid(SETTINGS, [X]).cells[0].model is None


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        ([], "the axes are none; give one to three different ones"),
        ([X, Y, X], "the axes are num_steps, guidance_scale, num_steps; give one to three"),
        ([X, Axis(name="seed", values=tuple(range(20))), Y], "the grid has 120 cells; at most 100"),
    ],
)
def test_axes_that_make_no_grid_are_refused(axes, sentence):
    with pytest.raises(RequestError, match=sentence):
        SettingsGrid(SETTINGS, axes)


def test_what_came_of_a_cell_takes_the_place_of_what_was_there(grid):
    grid.put(3, error="no")
    grid.put(3, image=Image.new("RGB", (4, 4)), duration_sec=2.0)
    assert (grid.cells[3].error, grid.cells[3].duration_sec, grid.num_done) == (None, 2.0, 1)


def test_the_sheet_of_a_page_has_grey_where_nothing_came(grid):
    grid.put(6, image=Image.new("RGB", (16, 16), "red"))
    sheet = grid.sheet(page=1)
    assert sheet.getpixel((5, 5)) == (255, 0, 0)
    assert sheet.getpixel((25, 5)) == (226, 232, 240)


def test_it_is_written_with_the_distance_to_a_reference(grid, tmp_path):
    for number in range(3):
        grid.put(number, image=Image.new("RGB", (16, 16), (80 * number, 0, 0)), duration_sec=1.0)
    grid.put(3, error="a <b> fault")
    grid.export(tmp_path, reference=1)
    rows = list(csv.DictReader((tmp_path / "grid.csv").open()))
    assert len(rows) == 12
    assert rows[1]["psnr"] == "inf"
    assert float(rows[0]["psnr"]) < 20
    assert (rows[3]["error"], rows[3]["psnr"], rows[2]["guidance_scale"]) == ("a <b> fault", "", "2.5")
    page = (tmp_path / "grid.html").read_text()
    assert page.count("<img") == 3
    assert "a &lt;b&gt; fault" in page
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["grid-0.png", "grid-1.png"]


def test_a_reference_without_an_image_is_refused(grid, tmp_path):
    with pytest.raises(RequestError, match="the cell 'steps 1, guidance scale 1, sampler ddim' has no image"):
        grid.export(tmp_path)


def test_a_step_is_timed(pipeline):
    assert seconds_a_step(pipeline, TextToImageSettings.of(prompt="a", num_steps=3, sampler="ddim")) > 0
    assert seconds_a_step(pipeline, TextToImageSettings.of(prompt="a", num_steps=1, sampler="ddim")) >= 0
