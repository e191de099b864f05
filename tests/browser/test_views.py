"""The views in a real JupyterLab."""

import pytest

from tests.browser.jupyter import Notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCRUBBER = """
from PIL import Image
from ldm_lab.viz import sprites
frames = [Image.new("RGB", (16, 16), (25 * n, 0, 0)) for n in range(10)]
scrubber = Scrubber(label="Step", reports=True)
scrubber.show({"z_0": sprites(frames)}, [f"step {n}" for n in range(10)])
scrubber
"""


@pytest.fixture(scope="module")
def scrubbing(open_notebook):
    return open_notebook(SCRUBBER)


def test_scrubbing_asks_nothing_of_the_kernel_until_the_slider_is_let_go(scrubbing):
    page = scrubbing.page
    page.wait_for_selector(".ldm-scrub canvas")
    slider = page.locator(".ldm-scrub input[type=range]")
    slider.focus()
    page.wait_for_timeout(500)  # what Lab itself has to say
    before = len(scrubbing.sent)
    for place in range(8):
        slider.evaluate("(one, place) => { one.value = place; one.dispatchEvent(new Event('input')); }", place)
    assert page.locator(".ldm-scrub-caption").text_content() == "step 7"
    red = page.locator(".ldm-scrub canvas").evaluate("(one) => one.getContext('2d').getImageData(3, 3, 1, 1).data[0]")
    assert abs(red - 175) < 8  # JPEG
    page.wait_for_timeout(500)
    assert len(scrubbing.sent) == before
    slider.press("ArrowRight")
    scrubbing.wait_until("scrubber.index == 8")


def test_the_console_is_clean(scrubbing):
    assert scrubbing.errors == []


class ImpatientBrowser:
    """A browser in which anywidget gives up on every model at once, as it does on a busy machine after two seconds."""

    def __init__(self, browser):
        self.browser = browser

    def new_page(self, **options):
        page = self.browser.new_page(**options)
        page.add_init_script("""
            const genuine = AbortSignal.timeout.bind(AbortSignal);
            AbortSignal.timeout = (msec) => genuine(msec === 2000 ? 0 : msec);
        """)
        return page


def test_on_a_busy_machine_views_hear_what_comes_later(lab_url, browser):
    url, folder = lab_url
    cells = [
        "from PIL import Image\nfrom ldm_lab.widgets import FrameView, StatusLine\n"
        "frame, status = FrameView(), StatusLine()\nframe",
        "status",
    ]
    notebook = Notebook.open(ImpatientBrowser(browser), url, folder, cells, name="impatient")
    notebook.run_all()
    notebook.page.wait_for_selector(".ldm-status", state="attached")
    notebook.page.wait_for_selector(".ldm-frame-view", state="attached")
    notebook.page.wait_for_timeout(500)
    assert any("Failed to initialize model" in error for error in notebook.errors)  # it did give up
    notebook.evaluate("frame.settle(Image.new('RGB', (4, 4), 'red'))")
    notebook.evaluate("status.say('It was heard.', kind='done')")
    notebook.page.get_by_text("It was heard.").wait_for()
    notebook.page.locator(".ldm-frame-view img").wait_for()
    notebook.close()
