import dataclasses
import io
import re

import pytest
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.session import diff_settings
from ldm_lab.tasks import AddNoise, Branch, Recipe, TextToImageSettings
from ldm_lab.viz import error_map
from ldm_lab.widgets import RunComparePanel
from ldm_lab.widgets.compare_panel import Choice

TIMEOUT_SEC = 120


def ask(**values):
    asked = {"prompt": "a red circle", "num_steps": 3, "sampler": "ddim", "seeds": [1, 2]}
    return TextToImageSettings.of(**(asked | values))


@pytest.fixture
def pipeline(session):
    return session.model


@pytest.fixture
def runs(pipeline):
    return [pipeline.carry_out(ask()), pipeline.carry_out(ask(guidance_scale=7.0, seeds=[1]))]


@pytest.fixture
def panel(session, runs):
    with RunComparePanel(session, runs) as panel:
        assert panel.wait(TIMEOUT_SEC)
        yield panel


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def tiles(panel):
    content, data = panel.maps.delivered("pictures")
    return {name: Image.open(io.BytesIO(one)) for name, one in zip(content["names"], data, strict=True)}


class TestComparison:
    def test_two_images_are_compared(self, panel, runs):
        panel.second.value = Choice(1, 0)
        panel.wait(TIMEOUT_SEC)
        first, second = runs[0].images[0], runs[1].images[0]
        assert panel.result.settings == diff_settings(*runs) != {}
        assert panel.result.num_common_steps == 0
        assert panel.status.text == "The walks differ from the first step on."
        shown = tiles(panel)
        assert list(shown)[:3] == ["A", "B", "difference"]
        assert shown["B"].tobytes() == second.tobytes()
        assert shown["difference"].tobytes() == error_map(first, second).tobytes()
        assert panel.slider.delivered("pair")[1] == panel.blink.delivered("pair")[1] != []
        assert re.search("guidance_scale</td><td[^>]*>4.0</td><td[^>]*>7.0</td>", panel.table.value)

    def test_it_begins_with_the_first_two_images(self, panel):
        assert (panel.first.value, panel.second.value) == (Choice(0, 0), Choice(0, 1))
        assert panel.status.text == "All 3 steps are the same, bit for bit."
        assert "Nothing was asked differently" in panel.table.value

    def test_a_branch_is_the_same_up_to_where_it_left(self, session, pipeline, runs):
        recipe = Recipe((AddNoise(amount=0.5),))
        child = pipeline.carry_out(runs[1].settings, branch=Branch(parent=runs[1], step=2, recipe=recipe))
        with RunComparePanel(session, [runs[1], child]) as panel:
            panel.wait(TIMEOUT_SEC)
            assert panel.status.text == "The walks are the same up to step 2, of 3 and 3 steps."
            assert ">recipe</td>" in panel.table.value

    def test_what_cannot_be_measured_is_said(self, panel, monkeypatch):
        missing = dataclasses.replace(panel.result.distance, lpips_map=None, missing=("LPIPS needs weights; put them",))
        monkeypatch.setattr("ldm_lab.widgets.compare_panel.picture_distance", lambda *_: missing)
        panel.compare(Choice(0, 0), Choice(0, 1))
        panel.wait(TIMEOUT_SEC)
        assert "dB" in panel.table.value
        assert "not measured: LPIPS needs weights</div>" in panel.table.value
        assert "LPIPS" not in tiles(panel)


class TestLibrary:
    def test_a_search_narrows_the_choice(self, panel):
        assert len(panel.first.options) == 3
        panel.search.value = "guidance_scale=7"
        assert [choice for _, choice in panel.first.options] == [Choice(1, 0)]
        panel.search.value = "nothing like that"
        assert panel.first.options == ()
        panel.search.value = ""
        assert len(panel.second.options) == 3

    def test_a_run_that_is_added_keeps_the_choice(self, panel, pipeline):
        before = panel.first.value
        panel.add(pipeline.carry_out(ask(prompt="a blue star", seeds=[4])))
        assert panel.first.value == before
        assert panel.first.options[-1][0] == "run 2, image-0-seed-4: a blue star"

    def test_one_run_waits_for_another(self, session, runs):
        with RunComparePanel(session, runs[1:]) as panel:
            assert panel.status.text == "One run is here; add another to compare it with."
            assert panel.code().startswith("# two images are needed")
            assert panel.picture() is None

    def test_a_png_becomes_a_run_again(self, panel, runs):
        image = runs[1].images[0]
        panel.drop._handle_custom_msg({"topic": "file", "name": "star.png"}, [memoryview(png(image))])
        assert panel.wait(TIMEOUT_SEC)
        assert panel.runs[-1].images[0].tobytes() == image.tobytes()
        assert panel.runs[-1].settings == runs[1].settings
        assert panel.runs[-1].notes[-1] == "the picture made again equals the file bit for bit"

    def test_a_picture_without_a_run_is_one_sentence(self, panel):
        panel.open("plain.png", png(Image.new("RGB", (8, 8))))
        panel.wait(TIMEOUT_SEC)
        assert panel.status.kind == "error"
        assert panel.status.text.startswith("the picture carries no settings")
        assert len(panel.runs) == 2


class TestErrors:
    def test_pictures_of_two_sizes_are_refused_in_one_sentence(self, panel, pipeline):
        panel.add(pipeline.carry_out(ask(width=32, seeds=[1])))
        panel.second.value = Choice(2, 0)
        panel.wait(TIMEOUT_SEC)
        assert panel.status.kind == "error"
        assert panel.status.text.startswith("the pictures are (16, 16) and (32, 16) pixels large")

    def test_what_is_not_in_the_library_is_refused(self, panel):
        with pytest.raises(RequestError, match="no image 1 of run 1; 2 runs are here"):
            panel.compare(Choice(0, 0), Choice(1, 1))


class TestPanel:
    def test_the_code_compares_the_same(self, panel, pipeline, monkeypatch):
        panel.second.value = Choice(1, 0)
        panel.wait(TIMEOUT_SEC)
        monkeypatch.setattr("ldm_lab.load", lambda name: pipeline, raising=False)
        names = {}
        exec(panel.code(), names)
        assert names["differing"] == panel.result.settings
        assert names["distance"].psnr == panel.result.distance.psnr

    def test_the_static_form_shows_both_and_their_difference(self, panel):
        assert panel.picture().size == (3 * 18 + 2, 20)
        assert "image/png" in panel.static_bundle()

    def test_panels_leave_nothing_behind(self, session, runs, open_widgets):
        before = open_widgets()
        for _ in range(10):
            with RunComparePanel(session, runs):
                assert open_widgets() > before
        assert open_widgets() == before
