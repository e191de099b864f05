import shutil

import numpy as np
import pytest
from PIL import Image

from ldm_lab.checkpoints import load_autoencoder
from ldm_lab.core.errors import RequestError
from ldm_lab.evaluation import one_picture
from ldm_lab.evaluation.latent_storage import LatentStorage
from ldm_lab.evaluation.one_picture import reconstruct
from ldm_lab.session import first_stages
from ldm_lab.widgets import CompressionPanel

TIMEOUT_SEC = 120
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def without_lpips(monkeypatch, tmp_path):
    monkeypatch.setattr(one_picture, "_lpips_network", lambda: None)
    monkeypatch.setattr(first_stages, "shipped_first_stages", list)
    monkeypatch.chdir(tmp_path)  # where nothing was trained


@pytest.fixture
def folder(tiny_folder):
    return tiny_folder.parent / "tiny-kl"


@pytest.fixture
def panel(session, folder):
    with CompressionPanel(session, image=PICTURE, folders=[folder]) as panel:
        panel.wait(TIMEOUT_SEC)
        yield panel


def test_what_comes_back_is_shown_with_its_figures(panel, folder):
    made = reconstruct(load_autoencoder(folder), PICTURE)
    assert panel.result.image.tobytes() == made.image.tobytes()
    content, buffers = panel.views.delivered("pictures")
    assert content["names"] == ["picture", "what comes back", "error, light is much"]
    assert all(data.startswith(b"\x89PNG") for data in buffers)
    assert f"{made.psnr:.2f} dB" in panel.figures.value
    assert "LPIPS</dt><dd>not measured" in panel.figures.value
    assert bytes(panel.plot.value).startswith(b"\x89PNG")
    assert "/tiny-kl: " in panel.status.text


def test_bits_and_noise_are_measured_beside_what_was_before(panel):
    before = panel.result
    panel.form.controls["bits"].widget.value = 2
    panel.form.controls["noise"].widget.value = 0.5
    panel.wait(TIMEOUT_SEC)
    assert panel.result.latent_bytes == before.latent_bytes // 8
    assert panel.result.psnr < before.psnr
    assert {point.storage for point in panel._measured} >= {LatentStorage(), LatentStorage(bits=2, noise=0.5)}
    assert "/tiny-kl, 2 bits, noise 0.5: " in panel.status.text


def test_first_stages_without_weights_are_grey_and_say_what_trains_them(panel):
    grey = {name for name, button in panel.dial.items() if button.disabled}
    assert grey == {"shapes-kl-f2", "shapes-kl-f4", "shapes-kl-f8", "shapes-vq-f4", "shapes-vq-f8"}
    assert "ldm-lab train autoencoder --preset shapes-kl-f8" in panel.dial["shapes-kl-f8"].tooltip
    with pytest.raises(RequestError, match="the weights of shapes-kl-f8 are not here; train it: ldm-lab train"):
        panel.turn_to("shapes-kl-f8")
    with pytest.raises(RequestError, match="there is no first stage 'mine'; choose one of"):
        panel.turn_to("mine")


def test_the_dial_turns(session, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    with CompressionPanel(session, image=PICTURE, folders=[folder, tmp_path / "other"]) as panel:
        first = panel.entry
        other = next(entry for entry in panel.entries if entry.folder and entry is not first)
        panel.turn_to(other.name)
        panel.wait(TIMEOUT_SEC)
        assert panel.entry is other
        assert panel.result is not None


def test_another_picture_is_measured_anew(panel):
    panel.choice.take(PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    panel.wait(TIMEOUT_SEC)
    assert panel.result.original.tobytes() == PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    panel.choice.source.value = "scene"
    panel.wait(TIMEOUT_SEC)
    assert panel.result.original.size == (64, 64)


def test_a_file_that_is_no_picture_becomes_a_sentence(panel):
    with pytest.raises(Exception, match="not a picture in a known format"):
        panel.guarded(panel.choice._open)(({"content": memoryview(b"text")},))
    assert panel.status.kind == "error"


def test_a_picture_that_is_too_small_becomes_a_sentence(panel):
    panel.choice.take(PICTURE.resize((8, 8)))
    panel.wait(TIMEOUT_SEC)
    assert panel.status.kind == "error"
    assert "SSIM looks through a window of 11" in panel.status.text


def test_without_any_first_stage_it_says_what_to_do(session):
    with pytest.raises(RequestError, match="there is no first stage here; train one: ldm-lab train autoencoder"):
        CompressionPanel(session)


def test_the_code_gives_the_same_picture(panel, tmp_path):
    panel.form.controls["bits"].widget.value = 3
    panel.wait(TIMEOUT_SEC)
    PICTURE.save(tmp_path / "picture.png")
    names = {}
    exec(panel.code(), names)
    assert names["made"].image.tobytes() == panel.result.image.tobytes()


def test_the_static_form_shows_all_three(panel):
    bundle = panel._repr_mimebundle_()
    assert {"image/png", "text/html", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert panel.picture().width > 3 * PICTURE.width


def test_closed_panels_leave_nothing_behind(session, folder, open_widgets):
    before = open_widgets()
    for _ in range(5):
        CompressionPanel(session, image=PICTURE, folders=[folder]).close()
    assert open_widgets() == before
