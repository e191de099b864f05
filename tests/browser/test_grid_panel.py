"""The Grid in a real JupyterLab: cells appear, one is chosen by click and by keyboard."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GRID = """
from ldm_lab.tasks import TextToImageSettings
settings = TextToImageSettings.of(prompt="a red circle", num_steps=2, sampler="ddim", seeds=[1])
panel = GridPanel(session, settings=settings, axes=[("num_steps", "1, 2"), ("width", "16, 19")], folder=None)
panel.make()
panel
"""


@pytest.fixture(scope="module")
def opened(open_notebook):
    notebook = open_notebook(GRID)
    notebook.wait_until("panel.wait(60) and panel.grid.num_done == 2")
    return notebook


def test_cells_appear_with_their_labels_and_errors(opened):
    page = opened.page
    page.wait_for_selector('.ldm-cell[data-state="done"] img')
    assert page.locator(".ldm-cells th").all_text_contents() == ["steps 1", "steps 2", "width 16", "width 19"]
    states = [cell.get_attribute("data-state") for cell in page.locator(".ldm-cell").all()]
    assert states == ["done", "done", "error", "error"]
    assert "width is 19; it must be a multiple of" in page.locator(".ldm-cell").nth(2).text_content()
    natural = page.locator(".ldm-cell img").first.evaluate("(image) => image.decode().then(() => image.naturalWidth)")
    assert natural == 16


def test_a_cell_is_chosen_by_click_and_by_keyboard(opened):
    page = opened.page
    page.locator(".ldm-cell").first.click()
    opened.wait_until("panel.view.chosen == 0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    opened.wait_until("panel.view.chosen == 1")
    assert page.locator('.ldm-cell[aria-pressed="true"]').count() == 1
    opened.wait_until("panel.shown.still.startswith(b'\\x89PNG')")


def test_the_console_is_clean(opened):
    assert opened.errors == []
