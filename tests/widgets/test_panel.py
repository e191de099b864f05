import base64
import io

import ipywidgets
import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab.core.errors import RequestError
from ldm_lab.session import Session, python_of
from ldm_lab.tasks import Run, TextToImageSettings
from ldm_lab.widgets import CompareSlider, FrameView, Panel, Scrubber, SettingsForm, Watch
from ldm_lab.widgets import cells as places
from ldm_lab.widgets.panel import replace_children

TIMEOUT_SEC = 120


class ToyPanel(Panel):
    """As short as a panel can be."""

    title = "Toy"

    def __init__(self, session, *, name=None):
        super().__init__(session, name=name)
        start = TextToImageSettings.of(prompt="a red circle", num_steps=2, sampler="ddim", guidance_scale=2.0)
        self.form = SettingsForm(start, fields=("prompt", "num_steps", "guidance_scale"))
        self.view = FrameView(placeholder="no picture yet")
        self.button = ipywidgets.Button(description="Make")
        self.button.on_click(self.guarded(lambda _: self.make()))
        self.lay_out(self.form.widget, self.button, self.view, CompareSlider(), Scrubber())

    def make(self):
        watch = Watch(status=self.status, on_frame=self.view.paint, on_value=self._show)
        self.submit(self.form.read(), watch)

    def _show(self, run):
        self.view.settle(run.grid())
        self.announce(run)

    def code(self):
        return python_of(self.form.read(), model=self.session.name)


@pytest.fixture
def panel(session):
    with ToyPanel(session) as panel:
        yield panel


class TestResults:
    def test_a_run_arrives_with_its_picture_and_a_sentence(self, panel):
        heard = []
        panel.on_result(heard.append)
        panel.make()
        assert panel.wait(TIMEOUT_SEC)
        assert isinstance(panel.run, Run)
        assert heard == [panel.run]
        assert panel.result is panel.run
        assert Image.open(io.BytesIO(panel.view.still)).tobytes() == panel.run.grid().tobytes()
        assert panel.status.kind == "done"
        assert panel.status.text.startswith("1 image in ")

    def test_before_there_is_no_run(self, panel):
        assert panel.run is None
        assert panel.picture() is None

    def test_wait_takes_in_what_a_result_asks_for(self, panel):
        runs = []

        def again(run):
            runs.append(run)
            if len(runs) < 3:
                panel.make()

        panel.on_result(again)
        panel.make()
        assert panel.wait(TIMEOUT_SEC)
        assert len(runs) == 3

    def test_the_code_makes_the_same_picture(self, tiny_folder):
        with Session(lab.load(tiny_folder)) as session, ToyPanel(session) as panel:
            panel.make()
            panel.wait(TIMEOUT_SEC)
            names = {}
            exec(panel.code().replace(repr(session.name), repr(str(tiny_folder))), names)
            assert names["run"].images[0].tobytes() == panel.run.images[0].tobytes()


class TestErrors:
    def test_a_refusal_becomes_one_sentence(self, panel):
        panel.form.controls["prompt"].set("(red:100)")
        with pytest.raises(RequestError):
            panel.guarded(panel.make)()
        assert panel.status.kind == "error"
        assert panel.status.text.startswith("the weight of 'red' is 100")
        assert "\n" not in panel.status.text
        assert "Traceback" in panel.status.details

    def test_outside_of_tests_nothing_is_raised(self, panel, refusing, monkeypatch):
        monkeypatch.delenv("PYTEST_CURRENT_TEST")
        assert panel.guarded(refusing)() is None
        assert panel.status.text == "no, because the test says so"

    def test_an_error_of_the_job_arrives_with_its_traceback(self, panel, session, refusing):
        session.call(refusing, listener=Watch(status=panel.status)).wait(TIMEOUT_SEC)
        assert (panel.status.kind, panel.status.text) == ("error", "no, because the test says so")
        assert "refuse" in panel.status.details

    def test_a_session_that_was_closed_is_said(self, panel, session):
        session.close()
        with pytest.raises(RequestError, match="the session of 'tiny' is closed"):
            panel.guarded(panel.make)()
        assert panel.status.text.startswith("the session of 'tiny' is closed")

    def test_errors_of_others_are_called_by_their_kind(self, panel):
        panel.status.complain(KeyError("lost"))
        assert panel.status.text == "KeyError: 'lost'"

    def test_a_form_that_is_not_accepted_does_not_spoil_the_static_one(self, panel):
        panel.form.controls["prompt"].set("(red:100)")
        assert "# " in panel.static_bundle()["text/html"]


class TestClosing:
    def test_fifty_panels_leave_nothing_behind(self, session, open_widgets):
        before = open_widgets()
        for _ in range(50):
            with ToyPanel(session) as panel:
                assert open_widgets() > before
        assert open_widgets() == before
        assert panel.is_closed

    def test_a_closed_panel_says_so(self, panel):
        panel.close()
        panel.close()
        with pytest.raises(RequestError, match="the panel 'Toy' is closed"):
            panel.show()

    def test_the_session_stays_open(self, panel, session):
        panel.close()
        assert not session.is_closed

    def test_replaced_children_are_closed(self, panel, open_widgets):
        before = open_widgets()
        box = ipywidgets.VBox([ipywidgets.IntSlider()])
        kept = ipywidgets.IntSlider()
        replace_children(box, [kept])
        assert box.children == (kept,)
        box.close(), box.layout.close()
        for widget in (kept.layout, kept.style, kept):
            widget.close()
        assert open_widgets() == before


class TestPlaces:
    def test_a_name_is_taken_over(self, session):
        first = ToyPanel(session, name="mine")
        other = ToyPanel(session, name="another")
        second = ToyPanel(session, name="mine")
        assert (first.is_closed, other.is_closed, second.is_closed) == (True, False, False)
        other.close(), second.close()

    def test_a_cell_that_is_run_again_closes_what_it_opened(self, session, monkeypatch):
        message = {"metadata": {"cellId": "a"}, "header": {"msg_id": "1"}}
        monkeypatch.setattr(places, "_parent_message", lambda: message)
        first, beside = ToyPanel(session), ToyPanel(session)
        assert not first.is_closed
        message = {"metadata": {"cellId": "b"}, "header": {"msg_id": "2"}}
        elsewhere = ToyPanel(session)
        message = {"metadata": {"cellId": "a"}, "header": {"msg_id": "3"}}
        again = ToyPanel(session)
        closed = [panel.is_closed for panel in (first, beside, elsewhere, again)]
        assert closed == [True, True, False, False]
        elsewhere.close(), again.close()


class TestStaticForm:
    def test_html_and_png_stand_beside_the_live_view(self, panel):
        panel.make()
        panel.wait(TIMEOUT_SEC)
        bundle = panel._repr_mimebundle_()
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.show().model_id
        picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
        assert picture.tobytes() == panel.run.grid().tobytes()
        assert "prompt=&#x27;a red circle&#x27;" in bundle["text/html"]

    def test_without_a_picture_there_is_no_png(self, panel):
        assert set(panel.static_bundle()) == {"text/html"}

    def test_a_page_holds_it(self, panel, tmp_path):
        text = panel.save_html(tmp_path / "panel.html").read_text()
        assert text.startswith("<!DOCTYPE html>")
        assert "<strong>Toy</strong>" in text

    def test_the_python_is_shown_on_demand(self, panel):
        button, shown = panel.show().children[-2:]
        assert shown.value == ""
        button.value = True
        assert "lab.load(&#x27;tiny&#x27;)" in shown.value
