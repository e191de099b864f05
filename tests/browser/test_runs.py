"""Generate, Trajectory and Rewind & Edit in a real JupyterLab."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GENERATE = """
panel = GeneratePanel(session, name="generate")
panel.form.controls["num_steps"].set(1000)
panel.form.controls["sampler"].set("ddim")
panel
"""
LOOK = """
run = session.model.text_to_image("a star", num_steps=6, sampler="ddim", seeds=[3])
walk = TrajectoryPanel(session, run)
walk
"""
REWIND = """
rewind = RewindPanel(session, run)
rewind.wait(60)
rewind
"""


def place(slider, value):
    """Move a slider as a hand does that has not let go."""
    slider.evaluate("(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value)


@pytest.fixture(scope="module")
def notebook(open_notebook):
    return open_notebook(GENERATE, LOOK, REWIND, size=(1280, 2000))


def test_stop_ends_a_run_that_goes_on(notebook):
    page = notebook.page
    page.locator("button.jupyter-button", has_text="Generate").first.click()
    page.wait_for_selector(".ldm-frame-view img")  # a preview, while the walk goes on
    assert notebook.evaluate("panel.run is None and bool(panel.pending)")
    page.locator("button.jupyter-button", has_text="Stop").first.click()
    notebook.wait_until("panel.run is not None")
    assert notebook.evaluate("panel.run.partial")
    assert notebook.evaluate("1 <= len(panel.run.trajectory) < 1000")
    page.wait_for_function(
        "() => document.querySelector('.ldm-status').textContent.includes('Stopped after step')", timeout=60_000
    )


def test_scrubbing_a_trajectory_asks_nothing_of_the_kernel(notebook):
    page = notebook.page
    page.wait_for_selector(".ldm-trajectory canvas")
    slider = page.locator(".ldm-trajectory input[type=range]")
    page.wait_for_timeout(1000)  # what Lab itself has to say
    before = len(notebook.sent)
    seen = set()
    for step in range(6):
        place(slider, step)
        seen.add(page.locator(".ldm-trajectory .ldm-chart-number").first.text_content())
    slider.press("ArrowLeft")
    page.get_by_role("button", name="Pin A").click()
    page.get_by_role("radio", name="z_t", exact=True).first.click()
    assert len(seen) == 6
    assert page.locator(".ldm-pin figcaption").first.text_content().startswith("predicted z_0, step 4")
    page.wait_for_timeout(500)
    assert len(notebook.sent) == before


def test_a_stroke_on_the_latent_becomes_a_branch(notebook):
    page = notebook.page
    pad = page.locator(".ldm-pad-stage").last
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.2 * box["height"], steps=5)
    page.mouse.up()
    notebook.wait_until("rewind.pad.mask.image.getbbox() is not None")
    page.get_by_role("button", name="Add edit").click()
    notebook.wait_until("len(rewind.tools.recipe.edits) == 1")
    page.get_by_role("button", name="Walk on from here").click()
    notebook.wait_until("len(rewind.tree.runs) == 2")
    page.wait_for_function("() => document.querySelectorAll('.ldm-tree-item').length === 2")
    assert notebook.evaluate("rewind.run.branch.recipe.edits[0].region is not None")


def test_a_run_of_the_tree_is_chosen_by_keyboard(notebook):
    items = notebook.page.locator(".ldm-tree-item")
    items.nth(1).focus()
    items.nth(1).press("ArrowUp")
    notebook.page.keyboard.press("Enter")
    notebook.wait_until("rewind.chosen is run")


def test_the_console_is_clean(notebook):
    assert notebook.errors == []
