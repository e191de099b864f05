"""Boxes drawn with the pointer and with keys, in a real JupyterLab, by a toy model of layouts."""

import pytest

from ldm_lab.checkpoints import reference_to, save_autoencoder, save_model
from ldm_lab.conditioning import LayoutTransformerConfig

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """
layouts = lab.Session(lab.load({folder!r}))
panel = LayoutPanel(layouts, layout=())
panel
"""


@pytest.fixture(scope="module")
def notebook(open_notebook, make_tiny_model, tmp_path_factory):
    words = (("circle", "star"), ("red", "blue"))
    sizes = {"max_objects": 2, "grid": 8, "width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
    model = make_tiny_model(conditioner=LayoutTransformerConfig(vocabularies=words, **sizes))
    root = tmp_path_factory.mktemp("layout")
    save_autoencoder(root / "kl", model.autoencoder, recipe={})
    defaults = {"num_steps": 2, "sampler": "ddim"}
    save_model(root / "model", model, first_stage=reference_to(root / "kl"), recipe={}, defaults=defaults)
    notebook = open_notebook(CELL.format(folder=str(root / "model")))
    notebook.page.wait_for_selector(".ldm-boxes")
    notebook.page.wait_for_timeout(500)
    return notebook


@pytest.fixture
def stage(notebook):
    """A stage without boxes."""
    stage = notebook.page.locator(".ldm-pad-stage")
    stage.scroll_into_view_if_needed()
    notebook.page.get_by_role("button", name="Clear").click()
    notebook.wait_until("not panel.pad.boxes")
    return stage


def drag(notebook, stage, start, end):
    box = stage.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    notebook.page.mouse.move(*places[0])
    notebook.page.mouse.down()
    notebook.page.mouse.move(*places[1], steps=6)
    notebook.page.mouse.up()


def box_of(notebook, number=0):
    return notebook.evaluate(f"panel.pad.boxes[{number}]['box']")


def test_a_box_drawn_gives_an_image(notebook, stage):
    page = notebook.page
    page.get_by_label("Class").select_option("star")
    page.get_by_label("Colour").select_option("blue")
    drag(notebook, stage, (0.25, 0.25), (0.75, 0.5))
    notebook.wait_until("panel.run is not None and len(panel.run.settings.layout) == 1")
    (item,) = notebook.evaluate("[[item.names, item.box] for item in panel.run.settings.layout]")
    assert item[0] == ["star", "blue"]
    assert item[1] == pytest.approx([0.25, 0.25, 0.75, 0.5], abs=0.01)
    page.locator(".ldm-frame").wait_for()
    assert page.locator(".ldm-box span").text_content() == "star blue"


def test_boxes_are_moved_stretched_and_renamed(notebook, stage):
    drag(notebook, stage, (0.25, 0.25), (0.5, 0.5))
    notebook.wait_until("len(panel.pad.boxes) == 1")
    drag(notebook, stage, (0.375, 0.375), (0.475, 0.475))
    notebook.wait_until("panel.pad.boxes[0]['box'][0] > 0.3")
    assert box_of(notebook) == pytest.approx([0.35, 0.35, 0.6, 0.6], abs=0.01)
    drag(notebook, stage, (0.6, 0.6), (0.8, 0.9))
    notebook.wait_until("panel.pad.boxes[0]['box'][2] > 0.7")
    assert box_of(notebook) == pytest.approx([0.35, 0.35, 0.8, 0.9], abs=0.01)
    notebook.page.get_by_label("Class").select_option("circle")
    notebook.wait_until("panel.pad.boxes[0]['names'][0] == 'circle'")


def test_no_box_leaves_the_picture_and_a_click_makes_none(notebook, stage):
    drag(notebook, stage, (0.5, 0.5), (0.9, 0.9))
    notebook.wait_until("len(panel.pad.boxes) == 1")
    drag(notebook, stage, (0.7, 0.7), (0.99, 0.72))
    notebook.wait_until("panel.pad.boxes[0]['box'][0] > 0.55")
    assert box_of(notebook)[2] == pytest.approx(1.0)
    drag(notebook, stage, (0.2, 0.2), (0.2, 0.2))
    notebook.page.wait_for_timeout(300)
    assert notebook.evaluate("len(panel.pad.boxes)") == 1


def test_keys_do_it_too(notebook, stage):
    stage.focus()
    stage.press("Enter")
    notebook.wait_until("len(panel.pad.boxes) == 1")
    stage.press("ArrowLeft")
    stage.press("Shift+ArrowDown")
    notebook.wait_until("panel.pad.boxes[0]['box'][3] > 0.7")
    assert box_of(notebook) == pytest.approx([0.3 - 1 / 64, 0.3, 0.7 - 1 / 64, 0.7 + 1 / 64], abs=0.001)
    stage.press("d")
    notebook.wait_until("len(panel.pad.boxes) == 2")
    stage.press("Enter")
    notebook.page.get_by_text("This model reads at most 2 objects.").wait_for()
    stage.press("Delete")
    notebook.wait_until("len(panel.pad.boxes) == 1")


def test_the_console_is_clean(notebook):
    assert notebook.errors == []
