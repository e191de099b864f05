import pytest

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import take_apart, view_guidance
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.widgets import CurvePad, GuidancePanel

TIMEOUT_SEC = 120
SETTINGS = TextToImageSettings.of(
    prompt="a large red circle", num_steps=3, sampler="ddim", guidance_scale=3.0, seeds=[1], guidance_rescale=0.0
)


@pytest.fixture
def panel(session):
    with GuidancePanel(session, settings=SETTINGS) as panel:
        yield panel


@pytest.fixture
def made(panel):
    panel.make()
    assert panel.wait(TIMEOUT_SEC)
    return panel


def test_a_run_is_taken_apart_step_by_step(made, session):
    assert sorted(made.parts) == [0, 1, 2]
    assert made.step.max == 2
    content, buffers = made.views.delivered("pictures")
    assert content["names"][:3] == ["z_0 without the sentence", "z_0 with the sentence", "z_0 guided"]
    assert len(buffers) == 4
    assert bytes(made.plot.value).startswith(b"\x89PNG")
    assert "of the numbers of z_0 lie" in made.clipped.value


def test_another_step_and_another_scale_are_seen_without_a_run(made, session):
    run = made.run
    made.step.value = 2
    made.scale.value = 9.0
    made.wait(TIMEOUT_SEC)
    expected = session.call(lambda model: view_guidance(model, take_apart(model, run, 2), scale=9.0)).result()
    assert made._seen.guided.tobytes() == expected.guided.tobytes()
    assert made.run is run
    assert "At scale 9" in made.clipped.value


def test_curve_and_box_are_settings_of_the_run(panel):
    panel.pad.set_state({"points": [[0.0, 1.0], [1.0, 6.0]]})
    panel.form.controls["guidance_box"].set((0.0, 0.0, 0.5, 1.0))
    panel.make()
    panel.wait(TIMEOUT_SEC)
    assert panel.run.settings.guidance_curve == ((0.0, 1.0), (1.0, 6.0))
    assert panel.run.settings.guidance_box == (0.0, 0.0, 0.5, 1.0)
    assert "guidance_curve=[[0.0, 1.0], [1.0, 6.0]]" in panel.code()


def test_the_scale_of_the_form_is_the_constant_of_the_pad(panel):
    panel.form.controls["guidance_scale"].set(7.0)
    assert (panel.pad.constant, panel.scale.value) == (7.0, 7.0)


def test_a_run_that_is_there_is_taken_apart(made, session):
    run = made.run
    with GuidancePanel(session, run) as other:
        assert other.wait(TIMEOUT_SEC)
        assert other.run is run
        assert len(other.parts) == 3


def test_steps_of_an_earlier_run_come_too_late(made):
    earlier, part = made.run, made.parts[0]
    made.make()
    made.wait(TIMEOUT_SEC)
    made.parts.clear()
    made._take(earlier, 0, part)
    assert made.parts == {}


def test_stop_leaves_the_last_predictions_taken_apart(gated):
    session, gate = gated
    with GuidancePanel(session, settings=SETTINGS) as panel:
        job = panel.make()
        gate.wait_inside()
        panel.stop()
        gate.let_pass(100)
        job.wait(TIMEOUT_SEC)
        panel.wait(TIMEOUT_SEC)
        assert panel.run.partial
        assert sorted(panel.parts) == [0]


def test_what_is_not_accepted_becomes_a_sentence(panel):
    panel.pad.points = [[0.5, 2.0], [0.2, 3.0]]
    with pytest.raises(RequestError):
        panel.guarded(panel.make)()
    assert panel.status.kind == "error"
    assert "guidance_curve has the places [0.5, 0.2]; they must rise" in panel.status.text


def test_the_code_makes_the_same(made, session, monkeypatch):
    monkeypatch.setattr("ldm_lab.load", lambda name: session.model)
    names = {}
    exec(made.code(), names)
    assert names["run"].images[0].tobytes() == made.run.images[0].tobytes()
    assert names["views"].guided.tobytes() == made._seen.guided.tobytes()


def test_the_static_form_shows_the_three(made):
    assert "image/png" in made._repr_mimebundle_()
    assert made.picture().width > 3 * 16


def test_closed_panels_leave_nothing_behind(session, open_widgets):
    before = open_widgets()
    for _ in range(5):
        GuidancePanel(session, settings=SETTINGS).close()
    assert open_widgets() == before


def test_the_pad_holds_what_the_browser_says():
    pad = CurvePad()
    pad.set_state({"points": [[0, 2], [0.5, 3.5]]})
    assert pad.curve == ((0.0, 2.0), (0.5, 3.5))
