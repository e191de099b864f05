import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.low_memory import decode_in_strips
from ldm_lab.core.errors import RequestError

SIZES = {"channels": 8, "num_res_blocks": 1, "norm_groups": 4, "latent_channels": 3}
CASES = {
    "kl-f4": {"channel_mult": (1, 2, 2)},
    "kl-f1": {"channel_mult": (1,)},
    "vq-f2": {"channel_mult": (1, 2), "bottleneck": VQConfig(num_codes=16)},
    "no attention": {"channel_mult": (1, 2), "mid_attention": False},
    "attention at every level": {"channel_mult": (1, 2), "attention_levels": (0, 1)},
}


def random_autoencoder(**changes):
    autoencoder = Autoencoder(AutoencoderConfig(**SIZES | changes)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in autoencoder.parameters():  # norms too, which start as the identity
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return autoencoder


def latents(height=11, width=7, seed=0):
    return 3 * torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
@torch.no_grad()
def test_it_is_the_plain_decoding(changes):
    autoencoder = random_autoencoder(**changes)
    for rows in (1, 3, 4, 100):
        torch.testing.assert_close(
            decode_in_strips(autoencoder, latents(), rows=rows), autoencoder.decode(latents()), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
@torch.no_grad()
def test_in_double_precision_nothing_is_rounded_to_single(changes):
    autoencoder = random_autoencoder(**changes).double()
    found, expected = decode_in_strips(autoencoder, latents().double(), rows=2), autoencoder.decode(latents().double())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@torch.no_grad()
def test_statistics_survive_a_large_mean():
    """A sum of squares in fp32 would lose them."""
    autoencoder = random_autoencoder(**CASES["kl-f4"])
    autoencoder.decoder.conv_in.bias += 300.0
    torch.testing.assert_close(
        decode_in_strips(autoencoder, latents(), rows=2), autoencoder.decode(latents()), rtol=0, atol=2e-3
    )


@torch.no_grad()
def test_statistics_of_each_strip_alone_would_not_do():
    """The negative control: decoding strips of the latent one by one is another picture."""
    autoencoder = random_autoencoder(**CASES["kl-f4"])
    alone = torch.cat([autoencoder.decode(part) for part in latents(12).split(4, dim=2)], dim=2)
    assert (alone - autoencoder.decode(latents(12))).abs().max() > 0.05


class Peak(TorchDispatchMode):
    """Largest sum of the sizes of all tensors that were alive at once, made under it."""

    def __init__(self):
        super().__init__()
        self.alive, self.largest = 0, 0
        self.known = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return out

    def _note(self, storage):
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self.known:
            return
        self.known.add(address)
        self.alive += size
        self.largest = max(self.largest, self.alive)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address, size):
        self.known.discard(address)
        self.alive -= size


@torch.no_grad()
def test_it_takes_less_memory():
    autoencoder, z_raw = random_autoencoder(**CASES["kl-f4"]), latents(16, 8)
    peaks = []
    for decode in (autoencoder.decode, lambda z: decode_in_strips(autoencoder, z, rows=2)):
        with Peak() as peak:
            decode(z_raw)
        peaks.append(peak.largest)
    assert peaks[1] < 0.6 * peaks[0]


def test_a_bad_number_of_rows_is_named():
    with pytest.raises(RequestError, match="rows is 0"):
        decode_in_strips(random_autoencoder(**CASES["kl-f1"]), latents(), rows=0)
