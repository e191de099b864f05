import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig, add_noise
from ldm_lab.sampling import latent_snr

SCHEDULE = NoiseSchedule(ScheduleConfig())


def latents(scale=1.0):
    return scale * torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_latents_of_unit_variance_have_the_schedule_s_ratio_and_scale_counts_squared():
    steps = torch.arange(1000)
    torch.testing.assert_close(latent_snr(latents(), SCHEDULE), SCHEDULE.snr(steps), rtol=0.02, atol=0)
    torch.testing.assert_close(latent_snr(latents(5.0), SCHEDULE), 25 * latent_snr(latents(), SCHEDULE))


def test_it_is_the_ratio_of_what_the_forward_process_adds_up():
    z_0, noise = latents(3.0), latents().flip(0)
    for t in (0, 300, 999):
        steps = torch.full((4,), t)
        signal = add_noise(z_0, torch.zeros_like(z_0), steps, SCHEDULE).var()
        added = add_noise(torch.zeros_like(z_0), noise, steps, SCHEDULE).var()
        assert latent_snr(z_0, SCHEDULE)[t].item() == pytest.approx((signal / added).item(), rel=0.02)


def test_one_number_has_no_variance():
    with pytest.raises(RequestError, match="z_0 holds 1 numbers"):
        latent_snr(torch.ones(1, 1, 1, 1), SCHEDULE)
