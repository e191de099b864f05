import numpy as np
import pytest
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import BlendSettings
from ldm_lab.widgets import PuckPad, WalkPanel

TIMEOUT_SEC = 120
SETTINGS = BlendSettings.of(
    prompt="a star", seeds=[1, 2, 3, 4], num_steps=6, sampler="ddim", guidance_scale=2.0, across=0.5, down=0.5
)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))


@pytest.fixture
def panel(session):
    with WalkPanel(session, settings=SETTINGS) as panel:
        yield panel


def move(panel, place, *, held):
    panel.pad.set_state({"place": place, "held": held})


def test_let_go_the_puck_gives_the_blend_at_its_place(panel, session):
    move(panel, [0.25, 0.75], held=False)
    assert panel.wait(TIMEOUT_SEC)
    assert (panel.run.settings.across, panel.run.settings.down) == (0.25, 0.75)
    assert panel.run.settings.num_steps == 6
    alone = session.submit(panel.settings()).result()
    assert panel.run.images[0].tobytes() == alone.images[0].tobytes()
    assert panel.view.still.startswith(b"\x89PNG")


def test_held_it_gives_previews_of_few_steps(panel):
    move(panel, [0.1, 0.1], held=True)
    panel.wait(TIMEOUT_SEC)
    assert panel.run.settings.num_steps == 4
    move(panel, [0.1, 0.1], held=False)
    panel.wait(TIMEOUT_SEC)
    assert panel.run.settings.num_steps == 6


def test_the_newest_place_wins(gated):
    session, gate = gated
    with WalkPanel(session, settings=SETTINGS) as panel:
        move(panel, [0.1, 0.0], held=True)
        gate.wait_inside()
        for across in (0.2, 0.3, 0.4):
            move(panel, [across, 0.0], held=True)
        gate.let_pass(1000)
        panel.wait(TIMEOUT_SEC)
        assert panel.run.settings.across == 0.4
        assert gate.count <= 1 + 4


def test_every_anchor_may_have_its_sentence(panel):
    panel.prompts.value = "a star\na circle\n\na square\na ring"
    assert panel.settings().prompts == ("a star", "a circle", "a square", "a ring")
    panel.prompts.value = "a star"
    with pytest.raises(RequestError):
        panel.guarded(panel.make)()
    assert panel.status.text == "there are 1 prompts for 4 anchors; give one each"


def test_a_picture_becomes_an_anchor(panel):
    panel.form.controls["seeds"].set((1,) * 3)
    panel.add_picture(PICTURE)
    panel.wait(TIMEOUT_SEC)
    assert panel.noises[0].shape == (3, 8, 8)
    assert panel.pad.anchors == ["seed 1", "seed 1", "seed 1", "picture 1"]
    panel.make()
    panel.wait(TIMEOUT_SEC)
    assert panel.run.settings.noises == panel.noises
    assert "PastedLatent.of" in panel.code()
    with pytest.raises(RequestError, match="there are 5 anchors"):
        panel.add_picture(PICTURE)


def test_a_film_is_made_and_saved(panel, tmp_path):
    panel.num_frames.value = 3
    panel.path.value = "rim"
    panel.film()
    panel.wait(TIMEOUT_SEC)
    assert len(panel.frames) == 3
    assert panel.frames[0].tobytes() == panel.frames[2].tobytes()  # the rim comes back
    assert panel.frames[0].tobytes() != panel.frames[1].tobytes()
    assert panel.film_view.delivered("sheets")[0]["count"] == 3
    panel._file.value = str(tmp_path / "walk.webp")
    panel._say_saved()
    assert Image.open(tmp_path / "walk.webp").n_frames == 3


def test_a_film_that_is_not_there_cannot_be_saved(panel, tmp_path):
    with pytest.raises(RequestError, match="there is no frame to save"):
        panel.save_film(tmp_path / "walk.gif")


def test_lengths_on_the_way_are_drawn(panel):
    panel.form.controls["way"].set("lerp")
    panel.measure()
    panel.wait(TIMEOUT_SEC)
    assert bytes(panel.plot.value).startswith(b"\x89PNG")
    assert "lengths of noise long" in panel.explained.value


def test_directions_are_found_and_gone_along(panel):
    section = panel.directions
    with pytest.raises(RequestError, match="there is no moved picture yet"):
        section.settle()
    section.find()
    panel.wait(TIMEOUT_SEC)
    first = section.image
    assert all(not slider.disabled for slider in section.sliders)
    assert "of variance" in section.sliders[0].description
    section.sliders[0].value = 2.5
    panel.wait(TIMEOUT_SEC)
    assert section.image.tobytes() != first.tobytes()
    section.settle()
    panel.wait(TIMEOUT_SEC)
    assert panel.run.settings.task == "image_to_image"


def test_anchors_are_named_and_two_of_them_lie_on_a_line(panel):
    assert panel.pad.anchors == ["seed 1", "seed 2", "seed 3", "seed 4"]
    assert not panel.pad.flat
    panel.form.controls["seeds"].set((7, 8))
    assert (panel.pad.anchors, panel.pad.flat) == (["seed 7", "seed 8"], True)


def test_the_code_makes_the_same(panel, session, monkeypatch):
    panel.make()
    panel.wait(TIMEOUT_SEC)
    monkeypatch.setattr("ldm_lab.load", lambda name: session.model)
    names = {}
    exec(panel.code(), names)
    assert names["run"].images[0].tobytes() == panel.run.images[0].tobytes()


def test_the_static_form_shows_the_film(panel):
    assert panel.picture() is None
    panel.frames = [PICTURE, PICTURE]
    assert panel.picture().width > 32
    assert "image/png" in panel._repr_mimebundle_()


def test_closed_panels_leave_nothing_behind(session, open_widgets):
    before = open_widgets()
    for _ in range(5):
        WalkPanel(session, settings=SETTINGS).close()
    assert open_widgets() == before


def test_the_puck_is_where_the_browser_says():
    pad = PuckPad()
    pad.set_state({"place": [0.25, 1], "held": True})
    assert (pad.place, pad.held) == ([0.25, 1.0], True)
