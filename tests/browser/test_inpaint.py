"""A mask painted with the pointer and with keys, in a real JupyterLab."""

import numpy as np
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """
from PIL import Image
panel = InpaintPanel(session, Image.new("RGB", (32, 32), "gray"))
panel.form.controls["num_steps"].set(2)
panel
"""
SIDE = 32
RADIUS = 2.0  # half of the size that the brush has for such a picture


@pytest.fixture(scope="module")
def notebook(open_notebook):
    notebook = open_notebook(CELL)
    notebook.page.wait_for_selector(".ldm-pad-stage canvas")
    notebook.wait_until("panel.pad.delivered('seen') is not None")
    notebook.page.wait_for_timeout(500)
    return notebook


@pytest.fixture
def stage(notebook):
    """An empty mask, and where it is painted."""
    stage = notebook.page.locator(".ldm-pad-stage")
    stage.scroll_into_view_if_needed()
    notebook.page.get_by_role("button", name="Clear").click()
    notebook.wait_until("panel.pad.mask.share == 0")
    return stage


def draw(notebook, stage, start, end):
    """A stroke from place to place, in pixels of the picture."""
    box = stage.bounding_box()
    places = [(box["x"] + x / SIDE * box["width"], box["y"] + y / SIDE * box["height"]) for x, y in (start, end)]
    notebook.page.mouse.move(*places[0])
    notebook.page.mouse.down()
    notebook.page.mouse.move(*places[1], steps=10)
    notebook.page.mouse.up()
    notebook.wait_until("panel.pad.mask.share > 0")


def kernel_mask(notebook):
    levels = notebook.evaluate("list(panel.pad.mask.pixels)")
    return np.array(levels).reshape(SIDE, SIDE) > 0


def line(start, end):
    """Pixels whose centre is at most a radius away from a line, by the formula; none should lie at exactly a radius."""
    (x0, y0), (x1, y1) = start, end
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    along = ((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
    along = along.clip(0, 1)
    return np.hypot(columns - x0 - along * (x1 - x0), rows - y0 - along * (y1 - y0)) <= RADIUS


def overlap(first, second):
    """Intersection over union."""
    return (first & second).sum() / (first | second).sum()


def test_a_stroke_arrives_as_it_was_painted(notebook, stage):
    start, end = (6.5, 8.5), (24.5, 20.5)
    draw(notebook, stage, start, end)
    painted = kernel_mask(notebook)
    assert overlap(painted, line(start, end)) > 0.98
    assert overlap(painted, line((6.5, 10.5), (24.5, 22.5))) < 0.7  # two pixels aside it would be seen


def test_it_can_be_taken_back_turned_round_and_erased(notebook, stage):
    draw(notebook, stage, (8.5, 8.5), (20.5, 8.5))
    painted = kernel_mask(notebook)
    page = notebook.page
    page.get_by_role("button", name="Undo").click()
    notebook.wait_until("panel.pad.mask.share == 0")
    page.get_by_role("button", name="Redo").click()
    notebook.wait_until("panel.pad.mask.share > 0")
    assert np.array_equal(kernel_mask(notebook), painted)
    page.get_by_role("button", name="Invert").click()
    notebook.wait_until("panel.pad.mask.share > 0.5")
    assert np.array_equal(kernel_mask(notebook), ~painted)
    page.get_by_role("radio", name="Eraser").click()
    draw(notebook, stage, (8.5, 24.5), (20.5, 24.5))
    notebook.wait_until(f"panel.pad.mask.share < {(~painted).mean()}")
    assert overlap(kernel_mask(notebook), ~painted & ~line((8.5, 24.5), (20.5, 24.5))) > 0.98
    page.get_by_role("radio", name="Brush").click()


def test_keys_paint_too(notebook, stage):
    """The place where they paint begins in the middle; shift makes it walk by pixels."""
    stage.focus()
    for _ in range(4):
        stage.press("Shift+ArrowRight")
    stage.press("Space")
    notebook.wait_until("panel.pad.mask.share > 0")
    painted = kernel_mask(notebook)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    assert overlap(painted, np.hypot(columns - 20, rows - 16) <= RADIUS) == 1.0
    stage.press("Control+z")
    notebook.wait_until("panel.pad.mask.share == 0")
    assert notebook.page.locator(".jp-Notebook .jp-CodeCell").count() == 2  # the keys were no shortcuts of Lab's


def test_zoomed_in_the_pointer_still_paints_where_it_is(notebook, stage):
    for _ in range(2):
        notebook.page.get_by_role("button", name="+", exact=True).click()
    draw(notebook, stage, (14.3, 15.6), (17.4, 15.6))
    assert overlap(kernel_mask(notebook), line((14.3, 15.6), (17.4, 15.6))) > 0.98
    stage.press("0")


def test_a_soft_brush_fades(notebook, stage):
    box = notebook.page.get_by_label("Soft")
    box.check()
    draw(notebook, stage, (8.5, 16.5), (24.5, 16.5))
    levels = set(notebook.evaluate("list(panel.pad.delivered('mask')[1][0])"))
    assert len(levels) > 3
    assert kernel_mask(notebook).sum() < line((8.5, 16.5), (24.5, 16.5)).sum()
    box.uncheck()


def test_what_was_painted_is_made_anew(notebook, stage):
    draw(notebook, stage, (8.5, 8.5), (20.5, 20.5))
    notebook.page.get_by_role("button", name="Repaint").click()
    notebook.wait_until("panel.run is not None")
    notebook.page.get_by_text("unmasked pixels changed by at most 0 of 255 levels").wait_for()


def test_the_console_is_clean(notebook):
    assert notebook.errors == []
