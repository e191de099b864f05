"""Latents, Compression and Compare without a browser: numbers, edits and differences are those of the library."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

import ldm_lab as lab
from apps.studio.compare import Compare
from apps.studio.compression import Compression
from apps.studio.latents import AROUND, EVERYWHERE, NOISY, PREDICTED, SHOWN_SIDE, Latents
from ldm_lab.checkpoints import load_autoencoder
from ldm_lab.core.errors import ImageError, RequestError
from ldm_lab.evaluation.one_picture import reconstruct
from ldm_lab.probes import latent_statistics
from tests.apps.tabs import VISITOR, chosen

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
NUMBERS = (1.0, 0.0, 0.0, 0.5)  # gain, shift, value, amount


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def pipeline(tiny_folder):
    return lab.load(tiny_folder)


@pytest.fixture(scope="session")
def run(pipeline):
    return pipeline.text_to_image("a red circle", seeds=[3], num_steps=2)


class TestLatents:
    @pytest.fixture
    def opened(self, open_tab, run):
        """The tab with the last image of Create, and the desk."""
        tab, desk = open_tab(Latents)
        desk.runs["create"], desk.models["create"] = run, "tiny-text"
        return tab, desk

    def test_an_uploaded_picture_is_encoded(self, open_tab, pipeline):
        tab, desk = open_tab(Latents)
        shown = tab._encode(VISITOR, "tiny-text", png(PICTURE))
        z = pipeline.encode(PICTURE)
        torch.testing.assert_close(desk.latent.z, z, rtol=0, atol=0)
        assert len(shown[tab.channel_views]["value"]) == 4  # three channels, and all as colours
        assert f"{latent_statistics(z).mean[0]:+.3f}" in shown[tab.facts]
        assert shown[tab.channels]["choices"] == ["0", "1", "2"]
        (decoded,) = pipeline.decode(z)
        assert shown[tab.decoded]["value"].resize((16, 16), Image.Resampling.NEAREST).tobytes() == decoded.tobytes()

    @pytest.mark.parametrize(("which", "share", "step"), [(PREDICTED, 100, 1), (PREDICTED, 0, 0), (NOISY, 0, 0)])
    def test_any_step_of_the_last_run_can_be_taken(self, opened, run, which, share, step):
        tab, desk = opened
        shown = tab._take(VISITOR, which, share)
        expected = run.trajectory[step].z_t if which == NOISY else run.trajectory[step].z_0_pred
        assert torch.equal(desk.latent.z, expected[:1])
        assert f"step {step + 1} of 2" in shown[tab.status]

    def test_a_click_chooses_the_cell_below_it_and_says_where_it_looked(self, opened, run):
        tab, desk = opened
        tab._take(VISITOR, PREDICTED, 100)
        side = SHOWN_SIDE // 8  # 8 × 8 cells
        shown = tab._pick(VISITOR, chosen((2 * side + 1, 5 * side - 1)))
        assert desk.latent.cell == (4, 2)
        assert f"{desk.latent.z[0, 0, 4, 2]:+.3f}" in shown[tab.cell_facts]
        shares = [float(share) for share in re.findall(r"([0-9.]+) %", shown[tab.cell_facts])]
        assert len(shares) == 3  # a, red, circle
        assert [label for _, label in shown[tab.words]["value"][1]] == ["1 a", "2 red", "3 circle"]
        assert shown[tab.patch]["visible"]

    def test_a_click_beyond_the_edge_chooses_the_last_cell(self, opened):
        tab, desk = opened
        tab._take(VISITOR, PREDICTED, 100)
        tab._pick(VISITOR, chosen((10_000, -5)))
        assert desk.latent.cell == (0, 7)

    def test_an_edit_changes_what_is_ticked_and_can_be_undone(self, opened, pipeline):
        tab, desk = opened
        tab._take(VISITOR, PREDICTED, 100)
        before = desk.latent.z
        shown = tab._apply(VISITOR, "Multiply and add", ["1"], EVERYWHERE, 0, 2.0, 0.5, 0.0, 0.5)
        expected = before.clone()
        expected[:, 1] = 2.0 * before[:, 1] + 0.5
        torch.testing.assert_close(desk.latent.z, expected)
        (decoded,) = pipeline.decode(desk.latent.z)
        assert shown[tab.decoded]["value"].resize((16, 16), Image.Resampling.NEAREST).tobytes() == decoded.tobytes()
        tab._undo(VISITOR)
        assert torch.equal(desk.latent.z, before)

    def test_an_edit_around_the_chosen_cell_leaves_the_others(self, opened):
        tab, desk = opened
        tab._take(VISITOR, PREDICTED, 100)
        with pytest.raises(RequestError, match="no cell is chosen; click on the decoded image first"):
            tab._apply(VISITOR, "Set to a value", [], AROUND, 1, *NUMBERS)
        desk.latent.cell = (0, 3)
        before = desk.latent.z
        tab._apply(VISITOR, "Set to a value", [], AROUND, 1, *NUMBERS)
        changed = (desk.latent.z != before).any(1)[0]
        assert changed[:2, 2:5].all()
        assert changed.sum() == 6
        assert (desk.latent.z[..., :2, 2:5] == 0).all()

    def test_before_there_is_a_latent_every_button_says_so(self, open_tab):
        tab, _ = open_tab(Latents)
        for press in (lambda: tab._undo(VISITOR), lambda: tab._pick(VISITOR, chosen((0, 0)))):
            with pytest.raises(RequestError, match="there is no latent yet; take an image of Create, or encode"):
                press()
        with pytest.raises(RequestError, match="there is no picture; upload one as a file"):
            tab._encode(VISITOR, "tiny-text", None)
        with pytest.raises(RequestError, match="the picture has 513 × 1 pixels; here at most 512 a side"):
            tab._encode(VISITOR, "tiny-text", png(Image.new("L", (513, 1))))


class TestCompression:
    def test_figures_and_pictures_are_those_of_the_evaluation(self, open_tab, tiny_folder):
        pytest.importorskip("skimage", reason="SSIM needs scikit-image")
        tab, _ = open_tab(Compression)
        updates = [*tab._measure(png(PICTURE), ["tiny-kl"])]
        made = reconstruct(load_autoencoder(tiny_folder.with_name("tiny-kl")), PICTURE)
        shown = updates[-1]
        assert f"{made.psnr:.2f} dB" in shown[tab.facts]
        assert f"{made.ssim:.4f}" in shown[tab.facts]
        original, image = shown[tab.sliders[0]]["value"]
        assert (original.tobytes(), image.tobytes()) == (PICTURE.tobytes(), made.image.tobytes())
        assert "Done." in shown[tab.status]

    def test_no_picture_takes_a_scene_and_no_stage_is_a_mistake(self, open_tab):
        pytest.importorskip("skimage", reason="SSIM needs scikit-image")
        tab, _ = open_tab(Compression)
        assert "tiny-kl" in [*tab._measure(None, ["tiny-kl"])][-1][tab.facts]
        with pytest.raises(RequestError, match="no first stage is chosen"):
            next(tab._measure(None, []))


class TestCompare:
    def test_a_png_gives_its_run_and_is_made_again(self, open_tab, run):
        tab, _ = open_tab(Compare)
        shown = tab._look(png(run.images[0]), None)
        assert "a red circle" in shown[tab.status]
        assert shown[tab.again]["visible"]
        assert "a red circle" in shown[tab.code]
        again = tab._make_again(png(run.images[0]))
        assert again[tab.remade]["value"].tobytes() == run.images[0].tobytes()

    def test_two_pictures_are_compared_in_pixels_and_settings(self, open_tab, pipeline, run):
        tab, _ = open_tab(Compare)
        same = tab._look(png(run.images[0]), png(run.images[0]))
        assert "equal, pixel for pixel. Their settings are the same." in same[tab.status]
        other = pipeline.text_to_image("a star", seeds=[3], num_steps=2)
        differing = tab._look(png(run.images[0]), png(other.images[0]))
        assert "The pictures differ. Their settings differ as follows." in differing[tab.status]
        assert "a star" in differing[tab.facts]
        assert "num steps" not in differing[tab.facts]

    def test_pictures_without_settings_are_compared_all_the_same(self, open_tab, run):
        tab, _ = open_tab(Compare)
        shown = tab._look(png(run.images[0]), png(PICTURE))
        assert "Not both of them carry settings" in shown[tab.status]
        with pytest.raises(ImageError, match="the pictures have 16 × 16 and 8 × 8 pixels"):
            tab._look(png(PICTURE), png(PICTURE.resize((8, 8))))

    def test_a_picture_that_asks_for_more_than_the_page_makes_is_not_made_again(self, open_tab, pipeline):
        tab, _ = open_tab(Compare)
        large = pipeline.text_to_image("a star", seeds=range(5), num_steps=1)
        with pytest.raises(RequestError, match="5 images were asked for; this page makes at most 4"):
            tab._make_again(png(large.images[0]))

    def test_the_last_images_of_other_tabs(self, open_tab, run):
        tab, desk = open_tab(Compare)
        with pytest.raises(RequestError, match="make one in the tab Inpaint"):
            tab._last("inpaint")(VISITOR)
        desk.runs["create"] = run
        assert tab._last("create")(VISITOR) is run.images[0]
