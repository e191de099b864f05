"""Microscope, inspector, comparison and map in a real JupyterLab: what is pointed at is shown without the kernel."""

import pytest

from tests.browser.jupyter import RUN_MSEC

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RUN = "run = session.model.text_to_image('a red circle', num_steps=3, sampler='ddim', seeds=[1, 2, 3, 4])"
QUIET_MSEC = 600  # after which JupyterLab itself has said what it had to say


@pytest.fixture(scope="module")
def looking(open_notebook):
    notebook = open_notebook(
        RUN,
        "microscope = LinkedMicroscopePanel(session, run)\nmicroscope.wait(60)\nmicroscope.record()\nmicroscope",
        "inspector = LatentInspectorPanel(session, run)\ninspector",
        "comparison = RunComparePanel(session, [run])\ncomparison",
        "samples = SampleMapPanel(session, run)\nsamples",
        size=(1280, 4000),
    )
    for drawn in (".ldm-micro-word", ".ldm-latent-tile", ".ldm-blink-stage img", ".ldm-scatter-map"):
        notebook.page.wait_for_selector(drawn, timeout=RUN_MSEC)
    return notebook


def hover(place, x, y):
    """Move the pointer to a part of an element, given as shares of its sides."""
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    place.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    return box


def click(place, x, y):
    hover(place, x, y)
    place.page.mouse.down()
    place.page.mouse.up()


def number(text):
    return float(text.replace("−", "-"))


class TestMicroscope:
    @pytest.fixture
    def view(self, looking):
        return looking.page.locator(".ldm-micro")

    def test_hovering_shows_values_and_patch_without_the_kernel(self, looking, view):
        picture = view.locator(".ldm-micro-picture .ldm-cells-stage")
        hover(picture, 0.05, 0.05)
        looking.page.wait_for_timeout(QUIET_MSEC)
        before = len(looking.sent)
        hover(picture, (5 + 0.5) / 8, (2 + 0.5) / 8)
        assert view.locator(".ldm-micro-place").text_content().startswith("Cell in row 2, column 5: pixels 4–5 down")
        shown = [number(text) for text in view.locator(".ldm-micro-channel .ldm-cells-number").all_text_contents()]
        mark = picture.locator(".ldm-cells-mark")
        style = mark.evaluate("(one) => [one.style.left, one.style.top, one.style.width, one.hidden]")
        assert style == ["62.5%", "25%", "12.5%", False]
        assert view.locator(".ldm-micro-channel .ldm-cells-mark:not([hidden])").count() == 3
        assert all(" %" in text for text in view.locator(".ldm-micro-word .ldm-cells-number").all_text_contents())
        looking.page.wait_for_timeout(QUIET_MSEC)
        assert len(looking.sent) == before
        expected = looking.evaluate("run.trajectory[-1].z_0_pred[0][:, 2, 5].tolist()")
        assert shown == pytest.approx(expected, abs=0.01)

    def test_it_begins_at_the_last_step_with_all_layers(self, looking, view):
        assert view.locator(".ldm-micro-bar input").input_value() == "2"
        layers = looking.page.locator(".ldm-panel select").nth(1)
        chosen = layers.evaluate("(one) => one.selectedOptions[0]?.textContent")
        assert chosen.replace("\N{NO-BREAK SPACE}", " ") == "all layers"

    def test_steps_and_words_need_no_kernel_either(self, looking, view):
        looking.page.wait_for_timeout(QUIET_MSEC)
        before = len(looking.sent)
        slider = view.locator(".ldm-micro-bar input")
        slider.evaluate("(one) => { one.value = 0; one.dispatchEvent(new Event('input')); }")
        assert view.locator(".ldm-micro-step").text_content().startswith("step 1, t = ")
        word = view.locator(".ldm-micro-word button").nth(1)
        word.click()
        assert word.get_attribute("aria-pressed") == "true"
        assert view.locator(".ldm-micro-heat").is_visible()
        assert "“red”" in view.locator(".ldm-micro-picture .ldm-note").text_content()
        word.click()
        assert not view.locator(".ldm-micro-heat").is_visible()
        slider.evaluate("(one) => { one.value = 2; one.dispatchEvent(new Event('input')); }")
        looking.page.wait_for_timeout(QUIET_MSEC)
        assert len(looking.sent) == before

    def test_a_click_and_the_keyboard_measure_influence(self, looking, view):
        picture = view.locator(".ldm-micro-picture .ldm-cells-stage")
        click(picture, (3 + 0.5) / 8, (4 + 0.5) / 8)
        looking.wait_until("microscope.view.pinned == [4, 3, 2]")
        looking.page.wait_for_selector(".ldm-micro-picture .ldm-note >> text=Without this cell", timeout=RUN_MSEC)
        picture.press("ArrowRight")
        picture.press("Enter")
        looking.wait_until("microscope.view.pinned == [4, 4, 2]")


class TestInspector:
    def test_a_cell_is_shown_in_all_channels_without_the_kernel(self, looking):
        view = looking.page.locator(".ldm-latent")
        stage = view.locator(".ldm-cells-stage").first
        hover(stage, 0.05, 0.05)
        looking.page.wait_for_timeout(QUIET_MSEC)
        before = len(looking.sent)
        hover(stage, (6 + 0.5) / 8, (1 + 0.5) / 8)
        assert view.locator(".ldm-latent-place").text_content() == "Cell in row 1, column 6."
        shown = [number(text) for text in view.locator(".ldm-cells-number").all_text_contents()]
        assert view.locator(".ldm-cells-mark:not([hidden])").count() == 3
        looking.page.wait_for_timeout(QUIET_MSEC)
        assert len(looking.sent) == before
        expected = looking.evaluate("run.trajectory[-1].z_0_pred[0][:, 1, 6].tolist()")
        assert shown == pytest.approx(expected, abs=0.01)


class TestComparison:
    def test_blinking_needs_no_kernel(self, looking):
        view = looking.page.locator(".ldm-blink")
        swap = view.locator("button", has_text="Swap")
        swap.scroll_into_view_if_needed()
        looking.page.wait_for_timeout(QUIET_MSEC)
        before = len(looking.sent)
        assert view.locator("output").text_content().startswith("A: ")
        swap.click()
        assert view.locator("output").text_content().startswith("B: ")
        assert [image.is_visible() for image in view.locator("img").all()] == [False, True]
        looking.page.wait_for_timeout(QUIET_MSEC)
        assert len(looking.sent) == before

    def test_a_png_that_is_chosen_becomes_a_run(self, looking, tmp_path):
        path = tmp_path / "star.png"
        looking.evaluate(f"run.images[2].save({str(path)!r})")
        looking.page.locator(".ldm-drop-input").set_input_files(path)
        looking.wait_until("len(comparison.runs) == 2")
        assert looking.evaluate("comparison.runs[1].settings == run.settings")


class TestMap:
    def test_hovering_and_the_lasso_need_no_kernel_until_it_is_closed(self, looking):
        view = looking.page.locator(".ldm-scatter")
        canvas = view.locator(".ldm-scatter-map")
        x, y = looking.evaluate("samples._map.points[2].tolist()")
        place = 0.5 + x / 2.3, 0.5 - y / 2.3
        hover(canvas, 0.01, 0.01)
        looking.page.wait_for_timeout(QUIET_MSEC)
        before = len(looking.sent)
        hover(canvas, *place)
        assert view.locator(".ldm-scatter-info").text_content() == "image-2-seed-3: a red circle"
        looking.page.wait_for_timeout(QUIET_MSEC)
        assert len(looking.sent) == before
        view.locator("button", has_text="Lasso").click()
        corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
        hover(canvas, *corners[0])
        looking.page.mouse.down()
        for corner in corners[1:]:
            hover(canvas, *corner)
        looking.page.mouse.up()
        looking.wait_until("samples.selected == [0, 1, 2, 3]")
        assert view.locator(".ldm-scatter-grid canvas").count() == 4
        view.locator("button", has_text="Lasso").click()

    def test_empty_space_is_decoded(self, looking):
        canvas = looking.page.locator(".ldm-scatter-map")
        click(canvas, 0.02, 0.97)
        looking.page.wait_for_selector(".ldm-scatter-blend", timeout=RUN_MSEC)
        x, y = looking.evaluate("samples.view.asked")
        assert (x, y) == pytest.approx((-0.48 * 2.3, -0.47 * 2.3), abs=0.02)


def test_the_console_is_clean(looking):
    assert looking.errors == []
