import io

import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab.conditioning import ClassLabelConfig, LayoutTransformerConfig
from ldm_lab.core.errors import NotEnoughMemoryError, RequestError
from ldm_lab.session import Failed, Session
from ldm_lab.tasks import ClassToImageSettings, Origin, Pipeline, TextToImageSettings
from ldm_lab.widgets import GeneratePanel

TIMEOUT_SEC = 120


def ask(**values):
    asked = {"prompt": "a red circle", "num_steps": 3, "sampler": "ddim", "seeds": [5], "guidance_scale": 2.0}
    return TextToImageSettings.of(**(asked | values))


@pytest.fixture
def panel(session):
    with GeneratePanel(session, settings=ask()) as panel:
        yield panel


def press(button):
    """As the browser does; unlike ``click`` in a test, what goes wrong is raised."""
    for callback in button._click_handlers.callbacks:
        callback(button)


class TestRuns:
    def test_a_run_is_that_of_the_form_bit_for_bit(self, panel, tiny_model):
        steps = []
        panel.on_step(steps.append)
        press(panel._generate)
        assert panel.wait(TIMEOUT_SEC)
        twin = Pipeline(tiny_model).carry_out(panel.form.read())
        assert panel.run.images[0].tobytes() == twin.images[0].tobytes()
        assert tuple(steps) == panel.run.trajectory
        assert Image.open(io.BytesIO(panel.view.still)).tobytes() == twin.grid().tobytes()
        assert panel.view.alt == "1 image: a red circle"

    def test_the_form_begins_with_what_the_model_recommends(self, session):
        with GeneratePanel(session) as panel:
            asked = panel.form.read()
        assert (asked.num_steps, asked.sampler, asked.guidance_scale) == (20, "dpm++2m", 4.0)
        assert (asked.width, asked.height) == (16, 16)

    def test_a_run_to_begin_with_is_shown(self, session, panel):
        panel.generate()
        panel.wait(TIMEOUT_SEC)
        with GeneratePanel(session, panel.run) as other:
            assert other.run is panel.run
            assert other.form.read() == panel.run.settings
            assert other.view.still == panel.view.still

    def test_the_code_makes_the_same_images(self, tiny_folder):
        with Session(lab.load(tiny_folder)) as session, GeneratePanel(session, settings=ask()) as panel:
            panel.generate()
            panel.wait(TIMEOUT_SEC)
            names = {}
            exec(panel.code().replace(repr(session.name), repr(str(tiny_folder))), names)
        assert names["run"].images[0].tobytes() == panel.run.images[0].tobytes()

    def test_a_large_picture_is_kept_small_in_the_notebook(self, panel):
        panel.view.settle(Image.new("RGB", (1024, 512), "red"))
        assert Image.open(io.BytesIO(panel.view.still)).size == (512, 256)
        _, (data,) = panel.view.delivered("frame")
        assert Image.open(io.BytesIO(data)).size == (1024, 512)


class TestStop:
    def test_the_walk_ends_within_one_step_and_the_run_is_partial(self, gated):
        session, gate = gated
        with GeneratePanel(session, settings=ask(num_steps=50)) as panel:
            panel.generate()
            gate.wait_inside()
            assert not panel._stop.disabled
            press(panel._stop)
            gate.let_pass()
            assert panel.wait(TIMEOUT_SEC)
            assert gate.count == 1
            assert panel.run.partial
            assert panel.status.kind == "warning"
            assert panel.status.text.startswith("Stopped after step 1")
            assert panel.view.alt == "1 image (stopped on the way): a red circle"
            assert panel._stop.disabled

    def test_closing_ends_the_walk_too(self, gated):
        session, gate = gated
        panel = GeneratePanel(session, settings=ask(num_steps=50))
        job = panel.generate()
        gate.wait_inside()
        panel.close()
        gate.let_pass()
        assert job.wait(TIMEOUT_SEC)
        assert gate.count == 1
        assert panel.run is None


class TestLatestWins:
    def test_of_the_changes_during_a_run_the_newest_is_made(self, gated):
        session, gate = gated
        runs = []
        with GeneratePanel(session, settings=ask(num_steps=1)) as panel:
            panel.on_result(runs.append)
            panel.generate()
            gate.wait_inside()
            for scale in (3.0, 4.0, 5.0):
                panel.form.controls["guidance_scale"].widget.value = scale
                panel.submit_newest()  # what the hand that rests asks for
            gate.let_pass(2)
            assert panel.wait(TIMEOUT_SEC)
        assert [run.settings.guidance_scale for run in runs] == [2.0, 5.0]

    def test_a_change_asks_only_while_something_runs_or_live_is_on(self, panel, monkeypatch):
        asked = []
        monkeypatch.setattr(panel._later, "ask", lambda: asked.append(panel.form.read().num_steps))
        panel.form.controls["num_steps"].widget.value = 4
        assert asked == []
        panel._live.value = True
        panel.form.controls["num_steps"].widget.value = 5
        assert asked == [5]

    def test_a_job_that_was_replaced_says_nothing(self, gated):
        session, gate = gated
        with GeneratePanel(session, settings=ask(num_steps=1)) as panel:
            for _ in range(3):
                panel.submit_newest()
            gate.wait_inside()
            assert panel.status.kind == "busy"
            assert "newer" not in panel.status.text


class TestSeeds:
    def test_a_locked_seed_stays_and_one_that_is_not_is_new(self, panel):
        panel.seeds.renew()
        assert panel.seeds.value == (5,)
        panel.seeds.locked = False
        panel.seeds.renew()
        assert panel.seeds.value != (5,)

    def test_the_last_ones_can_be_taken_again(self, panel):
        panel.generate()
        panel.wait(TIMEOUT_SEC)
        press(panel.seeds._dice)
        assert panel.seeds.value != (5,)
        press(panel.seeds._reuse)
        assert panel.seeds.value == (5,)

    def test_several_images_have_seeds_that_follow_each_other(self, panel):
        panel.seeds.set((7, 8, 9))
        assert panel.form.read().seeds == (7, 8, 9)


class TestErrors:
    def test_a_refusal_of_the_model_is_said(self, panel):
        panel.form.controls["width"].widget.value = 3
        panel.generate()
        panel.wait(TIMEOUT_SEC)
        assert panel.status.kind == "error"
        assert "3" in panel.status.text
        assert panel._stop.disabled

    def test_without_memory_half_as_many_are_tried(self, panel):
        panel.seeds.set((1, 2, 3, 4))
        panel._watch()(Failed(NotEnoughMemoryError("not enough memory"), "…"))
        assert panel.wait(TIMEOUT_SEC)
        assert len(panel.run.images) == 2

    def test_without_memory_for_one_a_smaller_one_is_advised(self, panel):
        panel._watch()(Failed(NotEnoughMemoryError("not enough memory for one"), "…"))
        assert panel.status.text == "not enough memory for one; choose a smaller width and height"
        assert panel.run is None

    def test_a_model_of_another_kind_is_refused(self, make_tiny_model):
        words = (("circle", "star"), ("red", "blue"))
        sizes = {"max_objects": 2, "grid": 8, "width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
        model = make_tiny_model(conditioner=LayoutTransformerConfig(vocabularies=words, **sizes))
        with (
            Session(Pipeline(model, origin=Origin(name="boxes"))) as session,
            pytest.raises(RequestError, match="'boxes' is conditioned on layouts"),
        ):
            GeneratePanel(session)


class TestKinds:
    def test_classes_are_offered_by_name(self, make_tiny_model):
        config = ClassLabelConfig(num_classes=3, width=8, names=("circle", "square", "star"))
        model = make_tiny_model(conditioner=config)
        with Session(Pipeline(model)) as session, GeneratePanel(session) as panel:
            options = panel.form.controls["label"].widget.options
            assert [word for word, _ in options] == ["none", "circle", "square", "star"]
            panel.form.controls["num_steps"].widget.value = 2
            panel.generate()
            panel.wait(TIMEOUT_SEC)
            assert isinstance(panel.run.settings, ClassToImageSettings)

    def test_an_unconditional_model_is_asked_for_nothing(self, make_tiny_model):
        with Session(Pipeline(make_tiny_model(conditioner=None))) as session, GeneratePanel(session) as panel:
            assert "prompt" not in panel.form.controls
            assert panel.form.read().task == "unconditional"


def test_fifty_panels_leave_nothing_behind(session, open_widgets):
    before = open_widgets()
    for _ in range(50):
        GeneratePanel(session, settings=ask()).close()
    assert open_widgets() == before
