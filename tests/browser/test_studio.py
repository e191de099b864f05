"""The studio in a real browser, without a network: what a person does, and what must never happen meanwhile."""

import contextlib
import importlib.util

import pytest

from ldm_lab.cli.checkout import import_from_checkout

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT_MS = 120_000
HARMLESS = ("GPU stall due to ReadPixels", "WebGL", "Automatic fallback to software")
LEFT = "AbortError: signal is aborted"  # what Gradio was asking when its page was left


NO_EDITOR = pytest.mark.skip(reason="open: Gradio's editor of images does not start in this headless Chromium")
ABORTED = pytest.mark.skip(reason="open: after a refresh Gradio says on the console that its connection was lost")


class Visit:
    """A page, and what went wrong on it."""

    def __init__(self, browser, url, *, width=1280):
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(WAIT_MS)
        self.problems, self.requests = [], []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)) if LEFT not in str(error) else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.route("**/*", self._only_here)
        self._here = url
        self.open()

    def open(self):
        self.page.goto(self._here)
        self.page.wait_for_selector("#create-generate")

    def tab(self, name):
        self.page.get_by_role("tab", name=name, exact=True).click()

    def fill_in(self, prompt, seed=None):
        self.page.locator("#create-prompt textarea").fill(prompt)
        if seed is not None:
            self.page.get_by_label("Seed", exact=False).first.fill(str(seed))

    def generate(self, *, seed=None):
        if seed is not None:
            self.fill_in("a red circle", seed)
        self.page.click("#create-generate")
        self.page.wait_for_selector("#create-gallery img")
        return self.page.locator("#create-gallery img").first.get_attribute("src")

    def steps(self, count):
        self.page.get_by_text("How the image is made").click()
        field = self.page.get_by_label("number input for Steps").first
        field.fill(str(count))
        field.press("Tab")

    def _hear(self, message):
        if message.type in ("error", "warning") and not any(word in message.text for word in (*HARMLESS, LEFT)):
            self.problems.append(message.text)

    def _only_here(self, route):
        if route.request.url.startswith((self._here, "data:", "blob:")):
            route.continue_()
        else:
            self.problems.append(f"asked for {route.request.url}")
            route.abort()


@pytest.fixture(scope="module")
def studio_url(browser, tiny_folder):
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs gradio")
    studio = import_from_checkout("apps.studio", what="the studio")
    models = studio.Models([tiny_folder, tiny_folder.parent / "tiny-kl"], shipped=False)
    with studio.serve(models, studio.Options(port=_free_port())) as page:
        yield page.local_url.rstrip("/")


@pytest.fixture
def visit(browser, studio_url):
    """Opens a page; at the end nothing may have gone wrong on it."""
    with contextlib.ExitStack() as stack:

        def open(**options):
            visit = Visit(browser, studio_url, **options)
            stack.callback(visit.page.close)
            visits.append(visit)
            return visit

        visits = []
        yield open
        assert [problem for visit in visits for problem in visit.problems] == []


def _free_port():
    import socket

    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


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
    someone.steps(200)
    someone.page.click("#create-generate")
    someone.page.wait_for_selector("#create-preview img")
    someone.page.click("#create-stop")
    someone.page.wait_for_function("document.querySelector('#create-status').innerText.includes('Stopped')")
    someone.page.wait_for_selector("#create-gallery img")
    assert "of 200 steps" in someone.page.locator("#create-status").inner_text()


@ABORTED
def test_after_a_refresh_in_the_midst_the_page_works(visit):
    someone = visit()
    someone.steps(200)
    someone.page.click("#create-generate")
    someone.page.wait_for_selector("#create-preview img")
    someone.open()
    someone.generate()


def test_two_visitors_do_not_see_each_other(visit):
    one, other = visit(), visit()
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
    someone.page.click("#create-generate")
    someone.page.wait_for_selector("#create-gallery img")
    someone.fill_in(text + "x" * 1000)  # too long, so that a message quotes nothing but its length
    someone.page.click("#create-generate")
    someone.page.get_by_text("at most 1000 are read").first.wait_for()
    someone.tab("Grid")
    someone.page.locator("#grid-prompt textarea").fill(text)
    someone.page.get_by_label("Values").first.fill(text)
    someone.page.click("#grid-run")
    someone.page.get_by_text("takes numbers, and").first.wait_for()
    assert someone.page.evaluate("window.hurt") is None


@NO_EDITOR
def test_a_painted_mask_is_the_mask_that_is_used(visit):
    """Half of the picture is painted over; the latent's mask, shown in colour, covers that half and not the other."""
    someone = visit()
    someone.tab("Inpaint")
    canvas = someone.page.locator("#inpaint-canvas canvas").first
    canvas.wait_for()
    someone.page.wait_for_timeout(1500)  # the canvas fits the picture in
    box = canvas.bounding_box()
    side = min(box["width"], box["height"])
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    someone.page.mouse.move(middle[0] + 0.2 * side, middle[1] - 0.25 * side)
    someone.page.mouse.down()
    someone.page.mouse.move(middle[0] + 0.2 * side, middle[1] + 0.25 * side, steps=12)
    someone.page.mouse.up()
    someone.page.click("#inpaint-run")
    someone.page.wait_for_selector("#inpaint-gallery img")
    assert "known pixels are the input's" in someone.page.locator("#inpaint-status").inner_text()
    left, right = _orange(someone.page, "#inpaint-seen img")
    assert right > 0.3
    assert left < 0.1


def _orange(page, selector):
    """Shares of the left and the right half of a picture that are tinted as the mask is."""
    return page.evaluate(
        """async (selector) => {
          const image = document.querySelector(selector), canvas = document.createElement('canvas');
          await image.decode();
          const [width, height] = [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          const context = canvas.getContext('2d');
          context.drawImage(image, 0, 0);
          const pixels = context.getImageData(0, 0, width, height).data, counts = [0, 0];
          for (let i = 0; i < width * height; i++) {
            const [red, , blue] = pixels.slice(4 * i, 4 * i + 3);
            if (red - blue > 60) counts[Number(i % width >= width / 2)]++;
          }
          return counts.map((count) => count / (width * height / 2));
        }""",
        selector,
    )


@NO_EDITOR
def test_a_telephone_shows_everything_without_scrolling_sideways(visit):
    someone = visit(width=390)
    for name in ("Create", "Inpaint"):
        someone.tab(name)
        someone.page.wait_for_timeout(500)
        assert someone.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_create_works_by_keyboard_alone(visit):
    someone = visit()
    someone.page.locator("#create-prompt textarea").focus()
    someone.page.keyboard.type(" red")
    someone.page.keyboard.press("Tab")
    assert someone.page.evaluate("document.activeElement.id") == "create-generate"
    someone.page.keyboard.press("Enter")
    someone.page.wait_for_selector("#create-gallery img")
