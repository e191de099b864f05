import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig, add_noise
from ldm_lab.sampling import Rescaled, latent_snr, make_scheduler, sample_steps

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


class BetweenSteps:
    """The best denoiser of N(0.3, 0.5^2), also between the steps: a straight line joins the logarithms of the ratio."""

    schedule, device, dtype = SCHEDULE, torch.device("cpu"), torch.float64

    def __init__(self, gaussian_model, prediction):
        self.prediction, self._gaussian_model = prediction, gaussian_model

    def bind(self, cond, timesteps, *, copies=1):
        below = timesteps.double().floor().long().clamp(max=998)
        share = timesteps.double() - below
        log_snr = torch.lerp(SCHEDULE.snr(below).log(), SCHEDULE.snr(below + 1).log(), share)
        return self._gaussian_model(prediction=self.prediction, levels=(-0.5 * log_snr).exp()).bind(cond, timesteps)


@pytest.mark.parametrize("prediction", ["eps", "z_0", "v"])
class TestRescaled:
    @pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
    def test_it_is_the_best_denoiser_of_the_scaled_data(self, gaussian_model, prediction, scale):
        """Of k z_0 with z_0 from N(0.3, 0.5^2) that is the one of N(0.3 k, (0.5 k)^2), at every step."""
        steps, z_t = torch.tensor([850, 500, 120]), latents()[:, :1, :4, :4]
        rescaled = Rescaled(BetweenSteps(gaussian_model, prediction), scale=scale).bind(None, steps)
        exact = gaussian_model(prediction=prediction, mean=0.3 * scale, std=0.5 * scale).bind(None, steps)
        for index in range(3):
            torch.testing.assert_close(rescaled(z_t, index), exact(z_t, index), rtol=1e-9, atol=1e-9)

    def test_a_walk_ends_in_the_scaled_data(self, gaussian_model, prediction):
        scheduler = make_scheduler("ddim", ScheduleConfig(), prediction)
        request = {"num_steps": 20, "seeds": [1, 2], "shape": (1, 8, 8)}
        models = (
            Rescaled(BetweenSteps(gaussian_model, prediction), scale=0.5),
            gaussian_model(prediction=prediction, mean=0.15, std=0.25),
        )
        ends = [list(sample_steps(model, None, scheduler, **request))[-1].z_next for model in models]
        torch.testing.assert_close(
            ends[0], ends[1], rtol=0, atol=1e-3
        )  # the first steps lie beyond the last of training


def test_both_copies_are_converted(conditional_model):
    """With guidance the network answers twice; what it saw stands beside each answer."""
    z_t, steps = latents()[:, :1, :4, :4], torch.tensor([700])
    model = conditional_model(prediction="v")
    pair = Rescaled(model, scale=2.0).bind(None, steps, copies=2)(z_t, 0)
    one = Rescaled(model, scale=2.0).bind(None, steps)(z_t, 0)
    assert torch.equal(pair, one.repeat(2, 1, 1, 1))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_named(conditional_model, scale):
    with pytest.raises(RequestError, match=f"scale is {scale}; it must be a finite number above 0"):
        Rescaled(conditional_model(), scale=scale)
