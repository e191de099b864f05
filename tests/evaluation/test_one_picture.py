import numpy as np
import pytest
from PIL import Image

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.core.errors import ShapeError
from ldm_lab.core.images import to_pil, to_tensor
from ldm_lab.evaluation import one_picture
from ldm_lab.evaluation.metrics import psnr
from ldm_lab.evaluation.one_picture import latent_bytes, reconstruct

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (17, 19, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def without_lpips(monkeypatch):
    monkeypatch.setattr(one_picture, "_lpips_network", lambda: None)


def test_it_is_what_encoder_and_decoder_make_of_the_picture(tiny_model):
    made = reconstruct(tiny_model.autoencoder, PICTURE)
    expected = to_pil(tiny_model.autoencoder(to_tensor(PICTURE.crop((0, 0, 18, 16)))))[0]
    assert made.original.size == (18, 16)
    assert made.image.tobytes() == expected.tobytes()
    assert made.psnr == psnr(to_tensor(made.original), to_tensor(made.image)).item()
    assert made.z_raw.shape == (3, 8, 9)
    assert made.lpips is None
    assert (made.picture_bytes, made.latent_bytes) == (18 * 16 * 3, 3 * 8 * 9 * 2)


def test_nothing_lost_is_infinite_psnr(tiny_model, monkeypatch):
    monkeypatch.setattr(Autoencoder, "decode", lambda self, z: to_tensor(PICTURE.crop((0, 0, 18, 16))))
    made = reconstruct(tiny_model.autoencoder, PICTURE)
    assert made.psnr == float("inf")
    assert made.ssim == pytest.approx(1.0)


def test_lpips_is_measured_where_it_can_be(tiny_model, monkeypatch):
    monkeypatch.setattr(one_picture, "_lpips_network", lambda: lambda x, x_hat: (x - x_hat).abs().mean())
    assert reconstruct(tiny_model.autoencoder, PICTURE).lpips > 0


def test_a_codebook_needs_the_bits_of_an_index_a_place():
    sizes = {"channels": 8, "channel_mult": (1, 2), "latent_channels": 3, "norm_groups": 4}
    vq = AutoencoderConfig(bottleneck=VQConfig(num_codes=8192), **sizes)
    assert latent_bytes(vq, (3, 16, 16)) == 16 * 16 * 13 // 8
    assert latent_bytes(AutoencoderConfig(**sizes), (3, 16, 16)) == 3 * 16 * 16 * 2


def test_a_picture_that_is_too_small_is_refused(tiny_model):
    with pytest.raises(ShapeError, match="SSIM looks through a window of 11"):
        reconstruct(tiny_model.autoencoder, PICTURE.resize((8, 8)))
