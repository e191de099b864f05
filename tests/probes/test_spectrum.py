"""Spectra of signals that are known, and a second computation by loops."""

import math

import numpy as np
import pytest
import torch

from ldm_lab.core.errors import ShapeError
from ldm_lab.probes import radial_power_spectrum


def test_white_noise_is_flat(draw):
    spectrum = radial_power_spectrum(1.5 * draw(200, 2, 16, 16)).power.mean((0, 1))
    rings = np.rint(np.hypot(np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)) * 16)
    counts = torch.tensor([(rings == ring).sum() for ring in range(9)])
    # A power has a relative spread of at most sqrt(2); half of a ring repeats the other half. Five standard errors.
    bound = 5 * 2.25 * math.sqrt(2) / (200 * 2 * counts / 2).sqrt()
    assert ((spectrum - 2.25).abs() < bound).all()


@pytest.mark.parametrize(("across", "down", "ring"), [(3, 0, 3), (0, 5, 5), (3, 4, 5), (6, 0, 6)])
def test_a_sinusoid_is_in_its_ring_alone(across, down, ring):
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    wave = 3.0 * torch.sin(2 * math.pi * (across * x + down * y) / 32 + 0.4)
    spectrum = radial_power_spectrum(wave.double()[None, None])
    power = spectrum.power[0, 0]
    rest = torch.cat([power[:ring], power[ring + 1 :]])
    assert rest.max() < 1e-9
    assert spectrum.frequency[ring].item() == pytest.approx(ring / 32)
    frequency = np.rint(np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)) * 32)
    total = power[ring].item() * (frequency == ring).sum()
    assert total == pytest.approx(32 * 32 * 3.0**2 / 2, rel=1e-5)  # Parseval: the squares of the wave, summed


def test_a_constant_is_in_the_first_ring():
    power = radial_power_spectrum(torch.full((1, 1, 8, 8), 0.5)).power[0, 0]
    assert power[0].item() == pytest.approx(64 * 0.25)
    assert power[1:].max() < 1e-12


@pytest.mark.parametrize("shape", [(2, 3, 12, 20), (1, 1, 9, 7), (1, 2, 8, 8)])
def test_a_second_computation_by_loops(draw, shape):
    values = draw(*shape)
    height, width = shape[2:]
    shorter = min(height, width)
    rings = {ring: [] for ring in range(shorter // 2 + 1)}
    power = np.abs(np.fft.fft2(values.numpy())) ** 2 / (height * width)
    for row in range(height):
        for column in range(width):
            down, across = (min(row, height - row) / height, min(column, width - column) / width)
            ring = round(math.hypot(down, across) * shorter)
            if ring in rings:
                rings[ring].append(power[:, :, row, column])
    expected = np.stack([np.mean(rings[ring], axis=0) for ring in rings], axis=-1)
    spectrum = radial_power_spectrum(values)
    np.testing.assert_allclose(spectrum.power.numpy(), expected, rtol=1e-9)
    assert spectrum.frequency.max() <= 0.5
    assert spectrum.power.shape == (*shape[:2], shorter // 2 + 1)


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"values have shape \(8, 8\); expected \(B, C, H, W\)"):
        radial_power_spectrum(torch.zeros(8, 8))


def test_decades_are_powers_of_ten_and_nothing_is_the_lowest(draw):
    spectrum = radial_power_spectrum(draw(1, 1, 8, 8))
    torch.testing.assert_close(10**spectrum.decades, spectrum.power)
    assert radial_power_spectrum(torch.zeros(1, 1, 8, 8)).decades.unique().tolist() == [-12.0]
