"""The studio in a real browser, without a network: what a person does, and what must never happen meanwhile."""

import contextlib
import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from ldm_lab.cli.checkout import import_from_checkout
from tests.serving import free_port
from tests.stand_ins.slow_model import SlowLoader

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT_MS = 300_000  # of tests that would otherwise hang; nothing is measured by it
STEP_SEC = 0.1
LONG_WALK = 200  # steps
# As a page is left, Gradio aborts its own streams and writes that on the console of the page that goes.
CUT_BY_LEAVING = ("AbortError:", "Unexpected error Connection errored out.")


class Visit:
    """A page, and what went wrong on it."""

    def __init__(self, context, url, *, width=1280):
        self.page = context.new_page()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.set_default_timeout(WAIT_MS)
        self.problems, self.requests = [], []
        self._here, self._is_leaving = url, False
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._note(f"{error.name}: {error.message}"))
        self.page.on("request", self._ask)
        self.page.on("framenavigated", self._arrive)
        self.page.goto(url, wait_until="domcontentloaded")
        self.page.wait_for_selector("#create-run")

    def refresh(self):
        """Press F5."""
        self._is_leaving = True
        self.page.reload()
        self.page.wait_for_selector("#create-run")

    def tab(self, name):
        tab = self.page.get_by_role("tab", name=name, exact=True)
        if not tab.is_visible():  # where there is no room for all
            self.page.get_by_label("More tabs").click()
            tab = self.page.locator(".overflow-dropdown").get_by_text(name, exact=True)
        tab.click()

    def fill_in(self, prompt, seed=None):
        self.page.locator("#create-prompt textarea").fill(prompt)
        if seed is not None:
            self.page.get_by_label("Seed", exact=False).first.fill(str(seed))

    def generate(self, *, seed=None):
        if seed is not None:
            self.fill_in("a red circle", seed)
        self.page.click("#create-run")
        self.page.wait_for_selector("#create-gallery img")
        return self.page.locator("#create-gallery img").first.get_attribute("src")

    def steps(self, count):
        self.page.get_by_text("How the image is made").click()
        field = self.page.get_by_label("number input for Steps").first
        slider = self.page.get_by_label("range slider for Steps").first
        while slider.input_value() != str(count):  # a page that is still being put together does not hear it
            field.fill(str(count))
            field.press("Tab")
            self.page.wait_for_timeout(200)

    def _hear(self, message):
        if message.type == "error":  # warnings come of WebGL in software, and of what Gradio's canvas calls old names
            self._note(message.text)

    def _note(self, text):
        if not (self._is_leaving and text.startswith(CUT_BY_LEAVING)):
            self.problems.append(text)

    def _arrive(self, frame):
        if frame == self.page.main_frame:
            self._is_leaving = False  # the page that comes has no excuse

    def _ask(self, request):
        self.requests.append(request.url)
        if not request.url.startswith((self._here, "data:", "blob:")):
            self.problems.append(f"asked for {request.url}")


@pytest.fixture(scope="module")
def load():
    return SlowLoader(step_sec=STEP_SEC)


@pytest.fixture(scope="module")
def models(browser, load, tiny_folder, layout_folder, upscaling_folder):
    """A model for every tab."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs gradio")
    studio = import_from_checkout("apps.studio", what="the studio")
    folders = [tiny_folder, tiny_folder.with_name("tiny-kl"), layout_folder, upscaling_folder]
    return studio.Models(folders, shipped=False, capacity=3, load=load)


@pytest.fixture(scope="module")
def studio_url(models):
    studio = import_from_checkout("apps.studio", what="the studio")
    with studio.serve(models, studio.Options(port=free_port())) as page:
        yield page.local_url.rstrip("/")


@pytest.fixture(scope="module")
def context(browser):
    """One visitor's browser, which fetches scripts once."""
    with contextlib.closing(browser.new_context()) as context:
        yield context


@pytest.fixture
def visit(browser, context, studio_url):
    """Opens a page, in the browser of the visitor before or of another; at the end nothing may have gone wrong."""
    with contextlib.ExitStack() as stack:

        def open(*, is_other=False, **options):
            place = stack.enter_context(contextlib.closing(browser.new_context())) if is_other else context
            visits.append(Visit(place, studio_url, **options))
            stack.callback(visits[-1].page.close)
            return visits[-1]

        visits = []
        yield open
        assert [problem for visit in visits for problem in visit.problems] == []


def test_an_image_appears_and_its_steps_can_be_scrubbed_without_asking_anybody(visit):
    someone = visit()
    someone.generate()
    someone.page.wait_for_selector("#create-scrubber input")
    slider, words = (someone.page.locator(f"#create-scrubber {part}") for part in ("input", "output"))
    assert words.inner_text().startswith("step 3 of 3")
    asked = len(someone.requests)
    slider.focus()
    slider.press("Home")
    assert words.inner_text().startswith("step 1 of 3")
    assert len(someone.requests) == asked
    someone.page.get_by_text("Open in a notebook").first.click()
    someone.page.locator("#create-code").get_by_text("text_to_image").first.wait_for()


def test_stop_keeps_what_there_is(visit):
    someone = visit()
    someone.steps(LONG_WALK)
    someone.page.click("#create-run")
    someone.page.wait_for_selector("#create-preview img")
    someone.page.click("#create-stop")
    someone.page.wait_for_function("document.querySelector('#create-status').innerText.includes('Stopped')")
    someone.page.wait_for_selector("#create-gallery img")
    assert "of 200 steps" in someone.page.locator("#create-status").inner_text()


def test_after_a_refresh_in_the_midst_the_page_works(visit):
    someone = visit()
    someone.steps(LONG_WALK)
    someone.page.click("#create-run")
    someone.page.wait_for_selector("#create-preview img")
    someone.refresh()
    assert someone.page.locator("#create-gallery img").count() == 0
    someone.generate()


def test_a_tab_that_is_closed_ends_its_walk(visit, load):
    someone = visit()
    someone.steps(LONG_WALK)
    before = load.num_evaluations
    someone.page.click("#create-run")
    someone.page.wait_for_selector("#create-preview img")
    someone.page.close()
    visit().generate()
    assert load.num_evaluations - before < LONG_WALK


def test_two_visitors_do_not_see_each_other(visit):
    one, other = visit(), visit(is_other=True)
    source = one.generate(seed=5)
    assert other.page.locator("#create-gallery img").count() == 0
    other.tab("Latents")
    other.page.click("#latents-take")
    other.page.get_by_text("There is no image yet").wait_for()
    assert source not in other.page.content()


@pytest.mark.parametrize("text", ["<script>window.hurt=1</script>", "<img src=x onerror='window.hurt=1'>"])
def test_what_looks_like_code_stays_text(visit, text):
    someone = visit()
    someone.fill_in(text)
    someone.page.click("#create-run")
    someone.page.wait_for_selector("#create-gallery img")
    someone.fill_in(text + "x" * 1000)  # too long, so that a message quotes nothing but its length
    someone.page.click("#create-run")
    someone.page.get_by_text("at most 1000 are read").first.wait_for()
    someone.tab("Grid")
    someone.page.locator("#grid-prompt textarea").fill(text)
    someone.page.get_by_label("Values").first.fill(text)
    someone.page.click("#grid-run")
    someone.page.get_by_text("takes numbers, and").first.wait_for()
    assert someone.page.evaluate("window.hurt") is None


def test_a_painted_mask_is_the_mask_that_is_used(visit, models):
    """A stroke down the right half: what comes back differs from the picture there and nowhere else, and the cells that
    are shown as repainted are those in which a pixel was painted over.
    """
    from apps.studio.examples import scene

    someone = visit()
    someone.tab("Inpaint")
    _paint_down(someone.page, at=0.28)
    someone.page.click("#inpaint-run")
    someone.page.wait_for_selector("#inpaint-gallery img")
    assert "known pixels are the input's" in someone.page.locator("#inpaint-status").inner_text()
    picture = np.asarray(scene(models.card("tiny-text"), 0)[0])
    painted = (_pixels(someone.page, "#inpaint-gallery img") != picture).any(-1)  # (16, 16)
    assert painted[4:12, 12].all()
    assert not painted[:, :8].any()
    cells = painted.reshape(8, 2, 8, 2).any((1, 3))  # the tiny model has f = 2
    seen = _pixels(someone.page, "#inpaint-seen img")  # 16 times as large, with a frame around it
    tinted = (seen[8::16, 8::16] != picture).any(-1)
    np.testing.assert_array_equal(tinted, cells.repeat(2, 0).repeat(2, 1))


def _paint_down(page, *, at):
    """A stroke from top to bottom, right of the middle by a share of the picture, which is fitted in at first."""
    canvas = page.locator("#inpaint-canvas canvas").first
    canvas.wait_for()
    box, side = canvas.bounding_box(), 16 * _settled_zoom(page)  # the picture lies in the middle
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + at * side, y - 0.4 * side)
    page.mouse.down()
    page.mouse.move(x + at * side, y + 0.4 * side, steps=12)
    page.mouse.up()


def _settled_zoom(page):
    """Pixels of the screen along a pixel of the picture, once that has stopped to change."""
    before = None
    while (
        now := page.evaluate("document.querySelector('#inpaint-canvas').innerText.match(/([0-9]+)%/)?.[1]")
    ) != before:
        before = now
        page.wait_for_timeout(500)
    return int(now) / 100


def _pixels(page, selector):
    """A picture of the page as it came from the server. (H, W, 3)"""
    source = page.locator(selector).first.get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB"))


def test_a_grid_goes_on_after_a_refresh_and_others_begin_their_own(visit):
    """The key under which the cells lie stays in the browser."""
    someone, other = visit(), visit(is_other=True)
    for visitor, found in ((someone, 0), (someone, 2), (other, 0)):
        visitor.refresh()
        visitor.tab("Grid")
        visitor.page.get_by_label("Values").first.fill("1, 2")
        visitor.page.get_by_label("Values").last.fill("1")
        visitor.page.click("#grid-run")
        visitor.page.get_by_text(f"2 of 2 cells, {found} of them made before.").wait_for()


def test_two_clicks_place_a_box_and_the_layout_is_drawn(visit):
    someone = visit()
    someone.tab("Layout")
    image = someone.page.locator("#layout-canvas img")
    image.evaluate("node => node.decode()")  # until it is loaded it has no size
    box = image.bounding_box()
    lines = someone.page.locator("#layout-lines textarea")
    for x, y in ((0.5, 0.25), (0.75, 0.5)):
        before = image.evaluate("node => node.src")
        image.click(position={"x": x * box["width"], "y": y * box["height"]})
        drawn_anew = "before => document.querySelector('#layout-canvas img').src !== before"  # a corner, then the box
        someone.page.wait_for_function(drawn_anew, arg=before)
    someone.page.wait_for_function("document.querySelector('#layout-lines textarea').value.split('\\n').length === 3")
    *names, left, top, right, bottom = lines.input_value().splitlines()[-1].split()
    assert names == ["circle", "red"]
    np.testing.assert_allclose([float(side) for side in (left, top, right, bottom)], [0.5, 0.25, 0.75, 0.5], atol=0.02)
    lines.fill("star blue 0.1 0.1 0.9 0.9")
    someone.page.click("#layout-run")
    someone.page.wait_for_selector("#layout-gallery img")


def test_the_example_is_made_larger(visit):
    someone = visit()
    someone.tab("Upscale")
    someone.page.click("#upscale-example")
    someone.page.click("#upscale-run")
    someone.page.wait_for_selector("#upscale-gallery img")
    assert _pixels(someone.page, "#upscale-gallery img").shape == (16, 16, 3)


def test_a_telephone_shows_everything_without_scrolling_sideways(visit):
    someone = visit(width=390)
    for name in ("Create", "Inpaint", "Layout", "Upscale", "Latents", "Compression", "Grid", "Compare"):
        someone.tab(name)
        someone.page.wait_for_timeout(300)
        assert someone.page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_what_goes_wrong_on_the_console_is_heard(visit):
    """Or no error would ever be found by the tests above."""
    someone = visit()
    someone.page.evaluate("console.error('Unexpected error', 'Connection errored out.')")
    someone.page.wait_for_timeout(100)
    assert someone.problems == ["Unexpected error Connection errored out."]
    someone.problems.clear()


def test_create_works_by_keyboard_alone(visit):
    someone = visit()
    someone.page.locator("#create-prompt textarea").focus()
    someone.page.keyboard.type(" red")
    someone.page.keyboard.press("Tab")
    assert someone.page.evaluate("document.activeElement.id") == "create-run"
    someone.page.keyboard.press("Enter")
    someone.page.wait_for_selector("#create-gallery img")
