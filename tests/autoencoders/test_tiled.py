import pytest
import torch

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.tiled import decode_in_tiles
from ldm_lab.core.errors import RequestError

SIZES = {"channels": 8, "channel_mult": (1, 2), "num_res_blocks": 1, "norm_groups": 4, "mid_attention": False}


@pytest.fixture(scope="module")
def autoencoder():
    generator = torch.Generator().manual_seed(0)
    autoencoder = Autoencoder(AutoencoderConfig(**SIZES)).double().eval()
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return autoencoder


@pytest.fixture
def local(autoencoder, monkeypatch):
    """The same decoder with norms that look at each place alone, so that it sees 11 latent numbers far at most."""
    for module in autoencoder.modules():
        if isinstance(module, torch.nn.GroupNorm):
            monkeypatch.setattr(module, "forward", torch.tanh)
    return autoencoder


def latents(height=40, width=56):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@torch.no_grad()
def test_one_tile_is_the_whole(autoencoder):
    z_raw = latents(12, 20)
    assert torch.equal(decode_in_tiles(autoencoder, z_raw, size=20, overlap=4), autoencoder.decode(z_raw))


@torch.no_grad()
def test_away_from_seams_a_local_decoder_is_not_changed(local):
    """Two tiles of 40 x 36 share columns 20 to 36; beyond the reach of their edges both halves are the whole's."""
    z_raw, reach = latents(), 12
    tiled, whole = decode_in_tiles(local, z_raw, size=40, overlap=24), local.decode(z_raw)
    difference = (tiled - whole).abs().amax((0, 1, 2))  # two columns for each of the latent
    torch.testing.assert_close(tiled[..., : 2 * 16], whole[..., : 2 * 16], rtol=0, atol=1e-12)
    torch.testing.assert_close(tiled[..., 2 * 40 :], whole[..., 2 * 40 :], rtol=0, atol=1e-12)
    assert difference.max() > 1e-6  # at the seams it is not exact
    assert difference[2 * 16 : 2 * 40].argmax() in range(2 * reach * 2)


@torch.no_grad()
def test_overlap_makes_seams_softer(local):
    z_raw, whole = latents(), local.decode(latents())
    errors = [(decode_in_tiles(local, z_raw, size=20, overlap=o) - whole).abs().mean() for o in (0, 5, 10)]
    assert errors[2] < errors[1] < errors[0]


@torch.no_grad()
def test_scenes_decoded_by_the_shipped_first_stage_keep_the_stated_tolerance():
    """Scenes twice as large as those trained on; tiles change little, and on the whole nothing for the worse."""
    from ldm_lab.checkpoints import load_autoencoder, locate_first_stage
    from ldm_lab.data.shape_scenes import ShapeScenes

    shipped = load_autoencoder(locate_first_stage("shapes-kl-f4")).eval()
    x = ShapeScenes(size=128).images(range(4))
    z_raw = shipped.encode(x).mode()
    tiled, whole = decode_in_tiles(shipped, z_raw, size=24, overlap=8), shipped.decode(z_raw)
    change = 127.5 * (tiled - whole).abs()
    assert change.mean((1, 2, 3)).max() < 0.6
    assert change.max() < 30
    tiled_error, whole_error = ((made.clamp(-1, 1) - x).square().mean((1, 2, 3)) for made in (tiled, whole))
    assert tiled_error.mean() < whole_error.mean()
    assert (tiled_error < 1.1 * whole_error).all()


def test_impossible_tiles_are_named(autoencoder):
    with pytest.raises(RequestError, match="the size 8 and the overlap 8"):
        decode_in_tiles(autoencoder, latents(), size=8, overlap=8)
