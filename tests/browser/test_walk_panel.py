"""The Walk in a real JupyterLab: the puck is dragged and moved by keys, previews come, it settles."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WALK = """
from ldm_lab.tasks import BlendSettings
panel = WalkPanel(session, settings=BlendSettings.of(prompt="a star", seeds=[1, 2, 3, 4], num_steps=6, sampler="ddim"))
panel
"""


@pytest.fixture(scope="module")
def opened(open_notebook):
    notebook = open_notebook(WALK)
    notebook.page.wait_for_selector(".ldm-puck")
    return notebook


def test_a_dragged_puck_makes_previews_and_settles(opened):
    page = opened.page
    box = page.locator(".ldm-puck-plane").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    for share in (0.4, 0.3, 0.2):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
    opened.wait_until("panel.pad.held and abs(panel.pad.place[0] - 0.2) < 0.02")
    opened.wait_until("panel.run is not None and panel.run.settings.num_steps == 4")
    page.mouse.up()
    opened.wait_until("not panel.pad.held and panel.wait(60) and panel.run.settings.num_steps == 6")
    assert abs(opened.evaluate("panel.run.settings.across") - 0.2) < 0.02
    page.wait_for_selector(".ldm-frame")


def test_arrow_keys_move_it_and_not_the_cells(opened):
    page = opened.page
    before = opened.evaluate("panel.pad.place[1]")
    page.locator(".ldm-puck").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    opened.wait_until(f"abs(panel.pad.place[1] - {before} - 0.06) < 0.001 and not panel.pad.held")
    assert page.locator(".ldm-puck").evaluate("(puck) => puck === document.activeElement")


def test_the_console_is_clean(opened):
    assert opened.errors == []
