"""The panel without a browser: what is chosen is set as the browser sets it."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.checkpoints import save_autoencoder
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import strip
from ldm_lab.probes import code_picture, nearest_codes
from ldm_lab.session import Session
from ldm_lab.tasks import Origin, Pipeline
from ldm_lab.widgets import CodebookPanel

TIMEOUT_SEC = 120
NUM_CODES = 6
PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def vq_model(make_tiny_model):
    return make_tiny_model(bottleneck=VQConfig(num_codes=NUM_CODES))


@pytest.fixture
def vq_session(vq_model):
    with Session(Pipeline(vq_model, origin=Origin(name="tiny-vq"))) as session:
        yield session


@pytest.fixture
def panel(vq_session):
    with CodebookPanel(vq_session, image=PICTURE) as panel:
        assert panel.wait(TIMEOUT_SEC)
        yield panel


def choose(panel, **traits):
    """What a person chooses in the browser."""
    panel.view.set_state(traits)
    assert panel.wait(TIMEOUT_SEC)


def delivered_codes(panel):
    content, (codes, png) = panel.view.delivered("picture")
    return np.frombuffer(codes, "<u4").reshape(content["rows"], content["columns"]), Image.open(io.BytesIO(png))


class TestBrowsing:
    def test_picture_and_codes_are_shown(self, panel, vq_model):
        expected = code_picture(vq_model.autoencoder, PICTURE)
        codes, image = delivered_codes(panel)
        assert np.array_equal(codes, expected.codes.numpy())
        assert image.convert("RGB").tobytes() == expected.image.tobytes()
        content, (counts, context, alone) = panel.view.delivered("codes")
        assert np.array_equal(np.frombuffer(counts, "<u4"), panel.opened.survey.usage.counts.numpy())
        assert content["side"] == 2
        for sheet in (context, alone):
            assert Image.open(io.BytesIO(sheet)).size == (2 * content["columns"], 2)
        assert panel.status.text.startswith(f"{NUM_CODES} codes, of which ")

    def test_neighbours_of_the_chosen_code_come(self, panel, vq_model):
        choose(panel, chosen=4)
        codes, distances = nearest_codes(vq_model.autoencoder, 4)
        told, _ = panel.view.delivered("neighbours")
        assert (told["code"], told["codes"]) == (4, codes.tolist())
        assert told["distances"] == pytest.approx(distances.tolist())

    def test_the_figure_is_a_picture(self, panel):
        assert bytes(panel.usage.value).startswith(b"\x89PNG")


class TestExchanging:
    def test_at_one_place(self, panel):
        before = panel.result
        new = (before.code_at(2, 5) + 1) % NUM_CODES
        choose(panel, chosen=new, place=[2, 5])
        assert panel._here.description == f"Put code {new} at this place"
        panel._here.click()
        panel.wait(TIMEOUT_SEC)
        assert panel.result.code_at(2, 5) == new
        assert panel.result.count_changes(before) == 1
        assert panel.status.text == f"Code {new} was put at 1 place."
        codes, image = delivered_codes(panel)
        assert codes[2, 5] == new
        pair = [Image.open(io.BytesIO(data)).convert("RGB") for data in panel.slider.delivered("pair")[1]]
        assert [each.tobytes() for each in pair] == [before.image.tobytes(), panel.result.image.tobytes()]
        assert image.convert("RGB").tobytes() == panel.result.image.tobytes()

    def test_everywhere_and_back(self, panel):
        before = panel.result
        old = before.code_at(0, 0)
        new = (old + 1) % NUM_CODES
        choose(panel, chosen=new, place=[0, 0])
        assert panel._everywhere.description == f"Replace code {old} by {new} everywhere"
        panel._everywhere.click()
        panel.wait(TIMEOUT_SEC)
        assert panel.result.count_changes(before) == int((before.codes == old).sum()) > 1
        panel.undo()
        assert torch.equal(panel.result.codes, before.codes)
        assert panel.edits == []

    def test_without_a_choice_there_is_nothing_to_press(self, panel):
        assert panel._here.disabled
        choose(panel, chosen=1)
        assert panel._here.disabled
        choose(panel, place=[0, 0])
        assert not panel._here.disabled

    def test_a_code_that_is_not_there_is_said(self, panel):
        panel.exchange(99, place=(0, 0))
        panel.wait(TIMEOUT_SEC)
        assert panel.status.text == f"there is no code 99; the codebook has {NUM_CODES}, counted from 0"

    def test_before_anything_is_open_a_sentence_says_so(self, panel):
        panel.opened = None
        with pytest.raises(RequestError, match="still being looked at"):
            panel.exchange(1, place=(0, 0))

    def test_the_code_makes_the_same_picture(self, panel, vq_session, tmp_path, monkeypatch):
        choose(panel, chosen=3, place=[1, 1])
        panel._here.click()
        panel.wait(TIMEOUT_SEC)
        panel.exchange(2, old=3)
        panel.wait(TIMEOUT_SEC)
        PICTURE.save(tmp_path / "picture.png")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("ldm_lab.load", lambda name: vq_session.model)
        names = {}
        exec(panel.code(), names)
        assert names["coded"].image.tobytes() == panel.result.image.tobytes()


class TestFirstStages:
    def test_a_kl_model_says_why_and_shows_a_quantised_view(self, session):
        with CodebookPanel(session, image=PICTURE) as panel:
            panel.wait(TIMEOUT_SEC)
            assert "has no codebook: its latents are continuous" in panel._why.value
            assert len(panel.opened.survey.alone) == 64
            panel._num_codes.value = 16
            panel.wait(TIMEOUT_SEC)
            assert len(panel.opened.survey.alone) == 16
            assert "in 16 clusters" in panel._why.value

    def test_its_code_makes_the_same_view(self, session, tmp_path, monkeypatch):
        with CodebookPanel(session, image=PICTURE) as panel:
            panel.wait(TIMEOUT_SEC)
            PICTURE.save(tmp_path / "picture.png")
            monkeypatch.chdir(tmp_path)
            monkeypatch.setattr("ldm_lab.load", lambda name: session.model)
            names = {}
            exec(panel.code(), names)
            assert names["coded"].image.tobytes() == panel.result.image.tobytes()

    def test_where_no_vq_stage_is_the_command_that_trains_one_is_said(self, session, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("ldm_lab.session.first_stages.shipped_first_stages", lambda: [])
        with CodebookPanel(session, image=PICTURE) as panel:
            text = " ".join(child.value for child in panel.show().children if hasattr(child, "value") and child.value)
            assert "ldm-lab train autoencoder --preset shapes-vq-f4" in text
            panel.wait(TIMEOUT_SEC)

    def test_a_folder_of_one_s_own_can_be_looked_at(self, session, vq_model, tmp_path):
        save_autoencoder(tmp_path / "mine", vq_model.autoencoder, recipe={})
        with CodebookPanel(session, image=PICTURE, folders=[tmp_path / "mine"]) as panel:
            panel.wait(TIMEOUT_SEC)
            (number,) = [number for number, stage in enumerate(panel.stages) if "mine" in stage.title]
            panel._stage.value = number
            panel.wait(TIMEOUT_SEC)
            assert len(panel.opened.survey.alone) == NUM_CODES
            assert panel._why.value == ""
            assert repr(str(tmp_path / "mine")) in panel.code()

    def test_another_picture_is_coded_in_a_size_that_fits(self, panel):
        panel.choice.take(PICTURE.resize((23, 17)))
        panel.wait(TIMEOUT_SEC)
        assert panel.result.image.size == (24, 16)


class TestPanel:
    def test_the_static_form_shows_both_pictures(self, panel):
        panel.exchange(3, place=(0, 0))
        panel.wait(TIMEOUT_SEC)
        bundle = panel.show()._repr_mimebundle_()
        picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
        expected = strip([panel.opened.picture.image, panel.result.image])
        assert picture.tobytes() == expected.tobytes()

    def test_nothing_is_left_behind(self, vq_session, open_widgets):
        before = open_widgets()
        for _ in range(5):
            with CodebookPanel(vq_session, image=PICTURE):
                pass
        assert open_widgets() == before
