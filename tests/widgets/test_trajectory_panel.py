import io

import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab.core.errors import RequestError
from ldm_lab.session import Session
from ldm_lab.tasks import Pipeline, TextToImageSettings
from ldm_lab.widgets import GeneratePanel, TrajectoryPanel

TIMEOUT_SEC = 120


def ask(**values):
    asked = {"prompt": "a red circle", "num_steps": 5, "sampler": "ddim", "seeds": [5], "guidance_scale": 2.0}
    return TextToImageSettings.of(**(asked | values))


@pytest.fixture(scope="module")
def run(tiny_model):
    return Pipeline(tiny_model).carry_out(ask(seeds=[5, 6]))


@pytest.fixture
def panel(session, run):
    with TrajectoryPanel(session, run) as panel:
        assert panel.wait(TIMEOUT_SEC)
        yield panel


def shown(panel):
    content, buffers = panel.view.delivered("sheets")
    return content, [Image.open(io.BytesIO(data)) for data in buffers]


def test_all_steps_and_all_that_can_be_seen_of_them(panel, run):
    content, sheets = shown(panel)
    assert [sheet["name"] for sheet in content["sheets"]] == ["predicted z_0", "z_t", "predicted noise", "|Δz|"]
    assert content["count"] == 5
    assert [sheet.size for sheet in sheets] == [(5 * 8, 8)] * 4
    assert [curve["name"].split()[0] for curve in content["curves"]] == ["noise", "size", "size", "step"]
    assert all(len(curve["values"]) == 5 for curve in content["curves"])
    assert panel.view.labels == [f"step {step.index}, t = {step.t}" for step in run.trajectory]
    assert panel.result is run


def test_frames_are_those_that_the_preview_draws(panel, run, session):
    _, sheets = shown(panel)
    drawn = session.draw(run.trajectory[3].z_0_pred)[0]
    assert sheets[0].crop((3 * 8, 0, 4 * 8, 8)).tobytes() == drawn.tobytes()  # PNG: no loss


def test_another_image_is_another_walk(panel):
    _, before = shown(panel)
    panel._image.value = 1
    panel.wait(TIMEOUT_SEC)
    _, after = shown(panel)
    assert before[0].tobytes() != after[0].tobytes()
    assert "image 1" in dict(panel._image.options)


def test_decoded_frames_come_first_when_they_are_asked_for(panel):
    panel.decode()
    panel.wait(TIMEOUT_SEC)
    content, sheets = shown(panel)
    assert content["sheets"][0]["name"] == "decoded"
    assert sheets[0].size == (5 * 16, 16)


def test_a_long_walk_is_thinned_and_says_so(session, tiny_model):
    run = Pipeline(tiny_model).carry_out(ask(num_steps=300))
    with TrajectoryPanel(session, run) as panel:
        panel.wait(TIMEOUT_SEC)
        content, _ = shown(panel)
        assert content["count"] == 151
        assert panel.status.text == "300 steps; one of 2 is shown"
        assert panel.view.labels[1] == f"step 2, t = {run.trajectory[2].t}"


def test_a_partial_run_is_marked(session, tiny_model):
    run = Pipeline(tiny_model).carry_out(ask(), on_step=lambda step: step.index < 2)
    with TrajectoryPanel(session, run) as panel:
        panel.wait(TIMEOUT_SEC)
        assert panel.status.kind == "warning"
        assert shown(panel)[0]["count"] == 3


class TestLive:
    def test_it_grows_with_the_run_that_it_watches(self, gated):
        session, gate = gated
        with GeneratePanel(session, settings=ask()) as source, TrajectoryPanel(session, source=source) as panel:
            panel._budget._pause_sec = 0.0
            source.generate()
            for count in range(1, 5):
                gate.wait_inside()
                if count > 1:
                    content, _ = shown(panel)
                    assert (content["count"], content["follow"]) == (count - 1, True)
                gate.let_pass()
            gate.let_pass(10)
            source.wait(TIMEOUT_SEC)
            panel.wait(TIMEOUT_SEC)
            assert panel.run is source.run
            content, _ = shown(panel)
            assert (content["count"], content["follow"], len(content["sheets"])) == (5, False, 4)

    def test_a_panel_that_is_closed_hears_no_more(self, session, run):
        with GeneratePanel(session, settings=ask()) as source:
            panel = TrajectoryPanel(session, source=source)
            panel.close()
            source.generate()
            assert source.wait(TIMEOUT_SEC)
            assert panel.run is None
            assert source.status.kind == "done"


class TestFiles:
    @pytest.mark.parametrize("suffix", [".gif", ".webp"])
    def test_moving_pictures_have_a_frame_a_step(self, panel, tmp_path, suffix):
        with Image.open(panel.save(tmp_path / f"walk{suffix}")) as film:
            assert film.n_frames == 5

    def test_the_button_writes_where_it_says(self, panel, tmp_path):
        panel._path.value = str(tmp_path / "walk.png")
        panel._save_asked()
        panel.wait(TIMEOUT_SEC)
        assert (tmp_path / "walk.png").is_file()
        assert str(tmp_path / "walk.png") in panel.status.text

    def test_another_suffix_is_refused_in_a_sentence(self, panel):
        panel._path.value = "walk.avi"
        panel._save_asked()
        panel.wait(TIMEOUT_SEC)
        assert panel.status.text == "the file ends in '.avi'; choose one of .gif, .webp, .mp4, .png"

    def test_without_a_run_there_is_nothing_to_save(self, session, tmp_path):
        with TrajectoryPanel(session) as panel, pytest.raises(RequestError, match="there is no frame"):
            panel.save(tmp_path / "walk.gif")


def test_the_code_makes_the_run(tiny_folder):
    model = lab.load(tiny_folder)
    run = model.carry_out(ask())
    with Session(model) as session, TrajectoryPanel(session, run) as panel:
        code = panel.code()
    names = {}
    exec(code.replace(repr(model.name), repr(str(tiny_folder))), names)
    assert names["run"].images[0].tobytes() == run.images[0].tobytes()


def test_the_static_form_is_the_strip(panel, run):
    assert panel.picture().tobytes() == run.strip(0).tobytes()
    assert "image/png" in panel.static_bundle()


def test_fifty_panels_leave_nothing_behind(session, run, open_widgets):
    before = open_widgets()
    for _ in range(50):
        TrajectoryPanel(session, run).close()
    assert open_widgets() == before
