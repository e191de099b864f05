"""The panel and its pad without a browser: boxes are set as the browser sets them."""

import base64
import io

import pytest
from PIL import Image

from ldm_lab.checkpoints import shipped_models
from ldm_lab.conditioning import LayoutTransformerConfig
from ldm_lab.core.errors import RequestError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.session import Session
from ldm_lab.tasks import Origin, Pipeline
from ldm_lab.tasks.kinds import LAYOUT
from ldm_lab.widgets import BoxPad, LayoutPanel
from ldm_lab.widgets.missing_model import how_to_get

TIMEOUT_SEC = 120
WORDS = (("circle", "star"), ("red", "blue"))
STAR = LayoutObject(("star", "blue"), (0.1, 0.2, 0.5, 0.6))


@pytest.fixture
def layout_session(make_tiny_model):
    sizes = {"max_objects": 2, "grid": 8, "width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
    model = make_tiny_model(conditioner=LayoutTransformerConfig(vocabularies=WORDS, **sizes))
    with Session(Pipeline(model, origin=Origin(name="tiny-layout"))) as session:
        yield session


@pytest.fixture
def panel(layout_session):
    with LayoutPanel(layout_session) as panel:
        panel._live.value = False
        panel.form.controls["num_steps"].set(2)
        panel.form.controls["sampler"].set("ddim")
        yield panel


def draw(panel, *objects):
    """Boxes as the browser sends them."""
    panel.pad.set_state({"boxes": [{"names": list(names), "box": list(box)} for names, box in objects]})


class TestPad:
    def test_what_is_drawn_is_a_layout(self):
        pad = BoxPad(vocabularies=[["star"]])
        pad.set_state({"boxes": [{"names": ["star", "blue"], "box": [0.1, 0.2, 0.5, 0.6]}]})
        assert pad.layout_objects == (STAR,)

    def test_a_layout_is_drawn(self):
        pad = BoxPad()
        pad.show_layout((STAR,))
        assert pad.boxes == [{"names": ["star", "blue"], "box": [0.1, 0.2, 0.5, 0.6]}]
        assert pad.layout_objects == (STAR,)

    def test_a_box_without_inside_is_refused(self):
        pad = BoxPad()
        pad.boxes = [{"names": ["star"], "box": [0.5, 0.2, 0.5, 0.6]}]
        with pytest.raises(RequestError, match=r"its left \(0.5\) must be less than its right \(0.5\)"):
            _ = pad.layout_objects


class TestMaking:
    def test_words_come_from_the_model(self, panel):
        assert panel.pad.vocabularies == [["circle", "star"], ["red", "blue"]]
        assert panel.pad.max_objects == 2
        assert panel.settings.layout[0].names == ("circle", "red")

    def test_boxes_become_an_image(self, panel):
        draw(panel, (("star", "blue"), (0.1, 0.2, 0.5, 0.6)))
        panel.make()
        assert panel.wait(TIMEOUT_SEC)
        assert panel.run.settings.layout == (STAR,)
        assert Image.open(io.BytesIO(panel.view.still)).tobytes() == panel.run.grid().tobytes()
        (below,) = panel.pad.delivered("picture")[1]
        assert Image.open(io.BytesIO(below)).tobytes() == panel.run.images[0].tobytes()

    def test_live_a_change_makes_an_image_by_itself(self, panel):
        made = []
        panel.on_result(made.append)
        panel._live.value = True
        panel._later._pause_sec = 0.0
        draw(panel, (("star", "blue"), (0.1, 0.2, 0.5, 0.6)))
        panel._later._timer.join(TIMEOUT_SEC)
        assert panel.wait(TIMEOUT_SEC)
        assert [run.settings.layout for run in made] == [(STAR,)]

    def test_without_live_it_does_not(self, panel):
        draw(panel, (("star", "blue"), (0.1, 0.2, 0.5, 0.6)))
        assert panel._later._timer is None
        assert panel.pending == []

    def test_too_many_objects_are_refused_in_a_sentence(self, panel):
        draw(panel, *[(("star", "red"), (0.0, 0.0, 0.5, 0.5))] * 3)
        with pytest.raises(RequestError, match="the layout has 3 objects"):
            panel.make().result()
        assert panel.status.text == "the layout has 3 objects; this model reads at most 2"

    def test_an_empty_layout_is_said(self, panel):
        draw(panel)
        panel.make()
        panel.wait(TIMEOUT_SEC)
        assert "the layout is empty: the images are unconditional" in panel.status.text

    def test_the_code_makes_the_same_picture(self, panel, layout_session, monkeypatch):
        draw(panel, (("star", "blue"), (0.1, 0.2, 0.5, 0.6)))
        panel.make()
        panel.wait(TIMEOUT_SEC)
        monkeypatch.setattr("ldm_lab.load", lambda name: layout_session.model)
        names = {}
        exec(panel.code(), names)
        assert names["run"].images[0].tobytes() == panel.run.images[0].tobytes()


class TestAnotherModel:
    def test_it_says_what_is_missing_and_the_command(self, session, monkeypatch):
        monkeypatch.setattr("ldm_lab.widgets.missing_model.shipped_models", lambda: ["shapes-text"])
        with LayoutPanel(session) as panel:
            sentence = (
                "this needs a model that is conditioned on layouts, and 'tiny' is none; none comes with this version, "
                "so train it: ldm-lab train diffusion --preset shapes-layout"
            )
            assert (panel.status.kind, panel.status.text.lower()) == ("warning", sentence.lower())
            assert panel.status.text in panel.static_bundle()["text/html"].replace("&#x27;", "'")
            assert "ldm-lab train diffusion --preset shapes-layout" in panel.code()
            with pytest.raises(RequestError, match="conditioned on layouts"):
                panel.make()

    def test_where_one_is_shipped_it_names_it(self, monkeypatch):
        monkeypatch.setattr("ldm_lab.widgets.missing_model.shipped_models", lambda: ["shapes-layout"])
        assert how_to_get(LAYOUT, instead_of="mine").endswith("lab.Session(lab.load('shapes-layout'))")
        assert LAYOUT.shipped == "shapes-layout"

    def test_the_command_trains_that_model(self):
        from ldm_lab.training.presets import DIFFUSION

        assert LAYOUT.shipped in DIFFUSION
        assert set(shipped_models()) <= set(DIFFUSION)


class TestPanel:
    def test_stop_leaves_a_partial_run_or_nothing(self, panel):
        panel.form.controls["num_steps"].set(500)
        panel.make()
        panel.stop()
        assert panel.wait(TIMEOUT_SEC)
        assert panel.run is None or panel.run.partial

    def test_the_static_form_shows_the_image(self, panel):
        panel.make()
        panel.wait(TIMEOUT_SEC)
        bundle = panel.show()._repr_mimebundle_()
        picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
        assert picture.tobytes() == panel.run.grid().tobytes()
        assert "circle red 0.15 0.2 0.5 0.55" in bundle["text/html"]

    def test_nothing_is_left_behind(self, layout_session, session, open_widgets):
        before = open_widgets()
        for _ in range(10):
            LayoutPanel(layout_session).close()
            LayoutPanel(session).close()
        assert open_widgets() == before
