import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.evaluation.latent_storage import LatentStorage, quantize_evenly
from ldm_lab.evaluation.one_picture import reconstruct
from ldm_lab.evaluation.sample_pictures import photograph

Z = torch.linspace(-5, 5, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


def test_one_bit_leaves_two_numbers_and_three_bits_eight():
    assert quantize_evenly(Z, bits=1).unique().tolist() == [-2.0, 2.0]
    assert quantize_evenly(Z, bits=3).unique().tolist() == [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_what_lies_within_moves_by_half_an_interval_at_most(bits):
    inside = Z[Z.abs() <= 4]
    assert (quantize_evenly(inside, bits=bits) - inside).abs().max() <= 4 / 2**bits + 1e-6  # rounding of fp32


def test_nothing_asked_for_changes_nothing():
    assert LatentStorage().apply(Z, scale_factor=0.3) is Z


def test_noise_is_measured_in_standard_deviations_of_scaled_latents_and_is_the_same_every_time():
    z_raw = torch.zeros(1, 4, 64, 64)
    stored = LatentStorage(noise=0.5).apply(z_raw, scale_factor=0.1)
    assert stored.std().item() == pytest.approx(5.0, rel=0.02)  # 16,384 draws: 0.6 % one standard deviation
    assert torch.equal(stored, LatentStorage(noise=0.5).apply(z_raw, scale_factor=0.1))


def test_bits_are_of_scaled_latents():
    assert LatentStorage(bits=1).apply(torch.full((1, 1, 2, 2), 30.0), scale_factor=0.1).unique().tolist() == [20.0]


def test_a_value_out_of_range_is_refused():
    with pytest.raises(RequestError, match="bits is 17; it must be from 1 to 16"):
        LatentStorage(bits=17)


def test_fewer_bits_take_fewer_bytes_and_leave_less(tiny_model):
    picture = photograph("chelsea", side=32)
    whole, coarse = (reconstruct(tiny_model.autoencoder, picture, storage=LatentStorage(bits=bits)) for bits in (16, 1))
    assert (whole.latent_bytes, coarse.latent_bytes) == (3 * 16 * 16 * 2, 3 * 16 * 16 // 8)
    assert len(coarse.z_raw.unique()) == 2
    assert coarse.image.tobytes() != whole.image.tobytes()
