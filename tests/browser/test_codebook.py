"""A picture and its codes in a real JupyterLab: pointing asks nothing of the kernel, choosing does."""

import pytest

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.checkpoints import reference_to, save_autoencoder, save_model

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """
from PIL import Image
codes = lab.Session(lab.load({folder!r}))
picture = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
panel = CodebookPanel(codes, image=picture)
panel
"""


@pytest.fixture(scope="module")
def notebook(open_notebook, make_tiny_model, tmp_path_factory):
    model = make_tiny_model(bottleneck=VQConfig(num_codes=6))
    root = tmp_path_factory.mktemp("codebook")
    save_autoencoder(root / "vq", model.autoencoder, recipe={})
    save_model(root / "model", model, first_stage=reference_to(root / "vq"), recipe={}, defaults={})
    notebook = open_notebook(CELL.format(folder=str(root / "model")))
    notebook.wait_until("panel.opened is not None")
    notebook.page.wait_for_function("document.querySelector('.ldm-code-picture')?.naturalWidth === 16")
    notebook.page.wait_for_function("document.querySelector('.ldm-code-grid canvas').width > 0")
    notebook.page.wait_for_timeout(500)
    return notebook


def middle_of(stage, row, column, rows, columns):
    """Where a cell is in an element, as Playwright takes it."""
    box = stage.bounding_box()
    return {"x": (column + 0.5) / columns * box["width"], "y": (row + 0.5) / rows * box["height"]}


def test_pointing_at_a_place_names_its_code_without_the_kernel(notebook):
    stage = notebook.page.locator(".ldm-code-stage")
    code = notebook.evaluate("panel.result.code_at(2, 5)")
    stage.scroll_into_view_if_needed()
    before = len(notebook.sent)
    stage.hover(position=middle_of(stage, 2, 5, 8, 8))
    notebook.page.get_by_text(f"Code {code}:").wait_for()
    stage.hover(position=middle_of(stage, 7, 7, 8, 8))
    assert len(notebook.sent) == before


def test_what_is_chosen_is_exchanged_everywhere(notebook):
    page = notebook.page
    stage, grid = page.locator(".ldm-code-stage"), page.locator(".ldm-code-grid")
    page.get_by_role("radio", name="By number").click()
    old = notebook.evaluate("panel.result.code_at(0, 0)")
    new = (old + 1) % 6
    stage.click(position=middle_of(stage, 0, 0, 8, 8))
    grid.click(position=middle_of(grid, new // 3, new % 3, 2, 3))
    notebook.wait_until(f"panel.view.chosen == {new} and panel.view.place == [0, 0]")
    page.get_by_role("button", name=f"Replace code {old} by {new} everywhere").click()
    notebook.wait_until("len(panel.edits) == 1")
    assert notebook.evaluate(f"int((panel.result.codes == {old}).sum())") == 0


def test_arrow_keys_choose(notebook):
    grid = notebook.page.locator(".ldm-code-grid")
    before = notebook.evaluate("panel.view.chosen")
    grid.focus()
    grid.press("ArrowRight" if before < 5 else "ArrowLeft")
    notebook.wait_until(f"panel.view.chosen != {before}")


def test_the_console_is_clean(notebook):
    assert notebook.errors == []
