import base64
import io

import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab.checkpoints import reference_to, save_autoencoder, save_model
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.widgets import GridPanel

TIMEOUT_SEC = 120
SETTINGS = TextToImageSettings.of(
    prompt="a red circle", num_steps=2, sampler="ddim", guidance_scale=3.0, seeds=[1], width=16, height=16
)
AXES = (("num_steps", "1, 2"), ("guidance_scale", "1, 3"))


@pytest.fixture
def panel(session, tmp_path):
    with GridPanel(session, settings=SETTINGS, axes=AXES, folder=tmp_path / "cells") as panel:
        yield panel


@pytest.fixture
def made(panel):
    panel.make()
    assert panel.wait(TIMEOUT_SEC)
    return panel


def states(panel):
    messages = panel.view._deliveries.values()
    return {content["number"]: content["state"] for content, _ in messages if content["topic"] == "cell"}


def test_every_cell_is_the_run_of_its_settings(made, session):
    assert [cell.values for cell in made.grid.cells] == [(1, 1.0), (2, 1.0), (1, 3.0), (2, 3.0)]
    for cell in made.grid.cells:
        alone = session.submit(cell.settings).result()
        assert cell.image.tobytes() == alone.images[0].tobytes()
    assert states(made) == dict.fromkeys(range(4), "done")
    assert made.status.text == "4 of 4 cells."
    assert made.result is made.grid


def test_the_same_grid_is_found_again_after_a_restart(made, session, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "submit", None)  # nothing may be computed
    with GridPanel(session, settings=SETTINGS, axes=AXES, folder=tmp_path / "cells") as other:
        other.make()
        other.wait(TIMEOUT_SEC)
        assert states(other) == dict.fromkeys(range(4), "found")
        pairs = zip(other.grid.cells, made.grid.cells, strict=True)
        assert all(one.image.tobytes() == two.image.tobytes() for one, two in pairs)


def test_a_cell_that_fails_shows_why_and_the_others_go_on(panel):
    panel.axes.rows[0][0].value, panel.axes.rows[0][1].value = "width", "16, 19, 32"
    panel.make()
    panel.wait(TIMEOUT_SEC)
    assert [states(panel)[number] for number in range(3)] == ["done", "error", "done"]
    assert "width is 19; it must be a multiple of" in panel.grid.cells[1].error
    assert panel.status.text == "4 of 6 cells, 2 with an error."
    assert panel.status.kind == "warning"


def test_stop_keeps_the_cells_that_are_done(gated, tmp_path):
    session, gate = gated
    with GridPanel(session, settings=SETTINGS, axes=(("guidance_scale", "1, 2, 3"),), folder=tmp_path) as panel:
        panel.make()
        gate.wait_inside()
        gate.let_pass(2)
        gate.wait_inside(), gate.wait_inside()  # the second step of the first cell, the first of the second
        panel.stop()
        gate.let_pass(100)
        panel.wait(TIMEOUT_SEC)
        assert states(panel) == {0: "done", 1: "stopped", 2: "stopped"}
        assert panel.grid.cells[0].image is not None
        assert len(list(tmp_path.glob("*.png"))) == 1


def test_of_a_grid_that_was_left_nothing_is_told(gated, tmp_path):
    session, gate = gated
    with GridPanel(session, settings=SETTINGS, axes=(("guidance_scale", "1, 2"),), folder=None) as panel:
        panel.make()
        gate.wait_inside()
        left = panel.grid
        panel.make()
        gate.let_pass(100)
        panel.wait(TIMEOUT_SEC)
        assert panel.grid is not left
        assert panel.result is panel.grid
        assert left.num_done == 0
        assert states(panel) == {0: "done", 1: "done"}


def test_one_cell_is_made_again(made):
    before = made.grid.cells[2]
    made.make_again(2)
    assert made.wait(TIMEOUT_SEC)
    assert made.grid.cells[2] is not before
    assert made.grid.cells[2].image.tobytes() == before.image.tobytes()
    with pytest.raises(RequestError, match="there is no such cell yet"):
        made.make_again(9)


class TestModels:
    """An axis of models: the session's own, another one in a folder, and one that is not there."""

    @pytest.fixture
    def folder(self, make_tiny_model, tmp_path):
        """A model with other weights."""
        model = make_tiny_model(seed=1)
        save_autoencoder(tmp_path / "first-stage", model.autoencoder, recipe={})
        first_stage = reference_to(tmp_path / "first-stage")
        save_model(tmp_path / "other", model, first_stage=first_stage, recipe={}, defaults={})
        return tmp_path / "other"

    @pytest.fixture
    def compared(self, session, folder, tmp_path):
        axes = (("model", f"tiny, {folder}, nowhere"), ("num_steps", "1, 2"))
        with GridPanel(session, settings=SETTINGS, axes=axes, folder=tmp_path / "cells") as panel:
            panel.make()
            assert panel.wait(TIMEOUT_SEC)
            yield panel

    def test_every_cell_is_made_by_its_model(self, compared, session, folder, tmp_path):
        own, other, absent = compared.grid.cells[:3]
        assert own.image.tobytes() == session.submit(own.settings).result().images[0].tobytes()
        assert other.image.tobytes() == lab.load(folder).carry_out(other.settings).images[0].tobytes()
        assert other.image.tobytes() != own.image.tobytes()
        assert absent.image is None
        assert "nowhere" in absent.error
        assert [states(compared)[number] for number in range(6)] == ["done", "done", "error"] * 2
        assert compared.status.text == "4 of 6 cells, 2 with an error."
        assert len(list((tmp_path / "cells").glob("*.png"))) == 4

    def test_a_cell_opens_with_its_model(self, compared, folder):
        compared.view.chosen = 1
        assert f"model: {folder}" in compared.facts.value
        opened = compared.open("Generate")
        assert opened.session.model.origin.digest == lab.load(folder).origin.digest
        compared.close()
        assert opened.session.is_closed
        assert not compared.session.is_closed

    def test_the_code_makes_the_same_cells(self, compared, session, folder, monkeypatch):
        compared.axes.rows[0][1].value = f"tiny, {folder}"
        compared.make()
        compared.wait(TIMEOUT_SEC)
        genuine = lab.load
        monkeypatch.setattr("ldm_lab.load", lambda name: session.model if name == "tiny" else genuine(name))
        names = {}
        exec(compared.code(), names)
        assert names["grid"].sheet().tobytes() == compared.picture().tobytes()


def test_a_chosen_cell_shows_what_made_it(made):
    made.view.set_state({"chosen": 3})
    assert made.shown.still.startswith(b"\x89PNG")
    assert "num steps: 2" in made.facts.value


def test_a_chosen_cell_opens_in_another_panel(made, open_widgets):
    made.view.chosen = 1
    opened = made.open("Generate")
    assert opened.form.read().num_steps == 2
    other = made.open("Guidance Lab")
    assert opened.is_closed
    made.close()
    assert other.is_closed


def test_the_time_is_estimated_before_the_start(panel):
    panel.estimate()
    panel.wait(TIMEOUT_SEC)
    assert "4 cells, about " in panel.expected.value


def test_it_is_exported(made, tmp_path):
    made._folder.value = str(tmp_path / "out")
    made._say_export()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["grid-0.png", "grid.csv", "grid.html"]
    assert made.status.text.startswith("Written: ")


def test_what_is_not_accepted_becomes_a_sentence(panel):
    panel.axes.rows[0][1].value = "1, many"
    with pytest.raises(RequestError):
        panel.guarded(panel.make)()
    assert panel.status.text == "num_steps takes whole numbers, and 'many' is none"
    for name, _ in panel.axes.rows:
        name.value = ""
    with pytest.raises(RequestError, match="the grid has no axis"):
        panel.make()


def test_the_code_makes_the_same_cells(made, session, monkeypatch):
    monkeypatch.setattr("ldm_lab.load", lambda name: session.model)
    names = {}
    exec(made.code(), names)
    assert names["grid"].sheet().tobytes() == made.picture().tobytes()


def test_the_static_form_shows_the_first_page(made):
    bundle = made.show()._repr_mimebundle_()
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.tobytes() == made.grid.sheet().tobytes()
    assert "SettingsGrid(settings, axes)" in bundle["text/html"]


def test_views_that_open_later_get_all_cells(made, monkeypatch):
    sent = []
    monkeypatch.setattr(made.view, "send", lambda content, buffers=None: sent.append(content["topic"]))
    made.view._handle_custom_msg({"topic": "ready"}, [])
    assert sent == ["grid", *["cell"] * 4]


def test_closed_panels_leave_nothing_behind(session, open_widgets):
    before = open_widgets()
    for _ in range(5):
        GridPanel(session, settings=SETTINGS).close()
    assert open_widgets() == before
