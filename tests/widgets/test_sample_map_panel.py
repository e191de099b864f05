import io

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import gather_samples, map_samples
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.widgets import SampleMapPanel

TIMEOUT_SEC = 120


@pytest.fixture
def pipeline(session):
    return session.model


@pytest.fixture
def run(pipeline):
    settings = TextToImageSettings.of(prompt="a red circle", num_steps=2, sampler="ddim", seeds=[1, 2, 3, 4])
    return pipeline.carry_out(settings)


@pytest.fixture
def panel(session, run):
    with SampleMapPanel(session, run) as panel:
        assert panel.wait(TIMEOUT_SEC)
        yield panel


class TestMap:
    def test_every_image_of_a_run_has_its_place(self, panel, pipeline, run):
        expected = map_samples(gather_samples(pipeline, [run]).z)
        content, (points, _) = panel.view.delivered("samples")
        found = np.frombuffer(points, "<f4").reshape(-1, 2)
        np.testing.assert_allclose(found, expected.points, atol=1e-6)
        assert content["names"][2] == "image-2-seed-3: a red circle"
        across, up = expected.explained
        assert panel.status.text == f"4 samples; the axes hold {across:.0%} and {up:.0%} of their variance."
        assert panel.result.method == "pca"

    def test_five_thousand_latents_fit(self, session):
        z = torch.randn(5000, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        with SampleMapPanel(session, [z]) as panel:
            assert panel.wait(TIMEOUT_SEC)
            content, (points, sheet) = panel.view.delivered("samples")
            assert len(points) == 5000 * 8
            frames = content["frames"]
            assert len(frames["indices"]) == 5000
            assert Image.open(io.BytesIO(sheet)).size[0] == frames["columns"] * frames["width"]

    def test_heavy_bytes_stay_out_of_the_state(self, panel):
        state = {name: value for name, value in panel.view.get_state().items() if name not in ("_esm", "_css")}
        assert len(str(state)) < 2000

    def test_umap_is_not_offered_where_it_is_missing(self, session, run, monkeypatch):
        monkeypatch.setattr("ldm_lab.widgets.sample_map_panel.methods", lambda: ("pca",))
        with SampleMapPanel(session, run) as panel:
            assert [method for _, method in panel.method.options] == ["pca"]


class TestBetween:
    def test_a_click_on_empty_space_decodes_what_lies_there(self, panel, pipeline):
        panel.view.set_state({"asked": [0.1, -0.2]})
        assert panel.wait(TIMEOUT_SEC)
        expected = map_samples(panel.samples.z).between(0.1, -0.2)
        torch.testing.assert_close(panel.result.z, expected.z)
        content, (png,) = panel.view.delivered("blend")
        assert Image.open(io.BytesIO(png)).tobytes() == pipeline.decode(expected.z[None])[0].tobytes()
        assert content["neighbours"] == list(expected.neighbours)
        assert f"{expected.distance:.1f} times the usual distance" in content["text"]

    def test_the_number_of_neighbours_asks_again(self, panel):
        panel.ask(0.1, -0.2)
        panel.neighbours.value = 2
        panel.wait(TIMEOUT_SEC)
        assert len(panel.result.neighbours) == 2

    def test_far_from_all_samples_it_warns(self, panel):
        panel.ask(40.0, 0.0)
        panel.wait(TIMEOUT_SEC)
        assert panel.status.kind == "warning"
        assert panel.status.text.startswith("A guess: ")
        assert panel.view.delivered("blend")[0]["far"] is True

    def test_what_is_chosen_is_known_here(self, panel):
        panel.view.set_state({"selected": [3, 1]})
        assert panel.selected == [3, 1]


class TestErrors:
    def test_a_latent_with_nan_is_one_sentence(self, session, run):
        z = torch.full((3, 8, 8), torch.nan)
        with SampleMapPanel(session, [run, z]) as panel:
            panel.wait(TIMEOUT_SEC)
            assert panel.status.kind == "error"
            assert "NaN or infin" in panel.status.text
            with pytest.raises(RequestError, match="the map is not made yet"):
                panel.ask(0.0, 0.0)

    def test_too_few_samples_are_refused_in_one_sentence(self, session):
        with SampleMapPanel(session, [torch.zeros(2, 3, 8, 8)]) as panel:
            panel.wait(TIMEOUT_SEC)
            assert panel.status.text == "there are 2 latents; a map takes 3 to 5000"
            assert panel.picture() is None


class TestPanel:
    def test_the_code_decodes_the_same(self, panel, pipeline, monkeypatch):
        panel.ask(0.1, -0.2)
        panel.wait(TIMEOUT_SEC)
        monkeypatch.setattr("ldm_lab.load", lambda name: pipeline, raising=False)
        names = {}
        exec(panel.code(), names)
        torch.testing.assert_close(names["blend"].z, panel.result.z, rtol=0, atol=0)

    def test_of_other_sources_the_code_says_what_they_are(self, session):
        with SampleMapPanel(session, [torch.zeros(3, 3, 8, 8)]) as panel:
            assert "# sources: the runs, pictures and latents that the panel was given" in panel.code()

    def test_the_static_form_shows_the_map(self, panel):
        assert panel.picture().size == (512, 512)
        assert "image/png" in panel.static_bundle()

    def test_panels_leave_nothing_behind(self, session, run, open_widgets):
        before = open_widgets()
        for _ in range(10):
            with SampleMapPanel(session, run):
                assert open_widgets() > before
        assert open_widgets() == before
