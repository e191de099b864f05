import torch
from torch import nn

from ldm_lab.diffusion import NoiseSchedule, ObjectiveConfig, ScheduleConfig
from ldm_lab.training.diffusion_objective import DiffusionObjective, Networks


class Echo(nn.Module):
    """Predicts z_t, and remembers what it was told."""

    def forward(self, z_t, t, cond):
        self.cond = cond
        return z_t


def test_the_objective_is_the_denoising_loss_with_errors_by_time():
    schedule = NoiseSchedule(ScheduleConfig())
    objective = DiffusionObjective(Networks(Echo(), None), schedule, ObjectiveConfig())
    z_0, noise = torch.randn(2, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    t = torch.tensor([0, 499, 500, 999])
    value = objective(z_0, t, noise)
    abar = schedule.alphas_cumprod[t].float()[:, None, None, None]
    error = (abar.sqrt() * z_0 + (1 - abar).sqrt() * noise - noise).square().flatten(1).mean(1)
    torch.testing.assert_close(value.total, error.mean())
    torch.testing.assert_close(value.terms["error_low_noise"], error[:2].mean())
    torch.testing.assert_close(value.terms["error_high_noise"], error[2:].mean())
    late = objective(z_0[2:], t[2:], noise[2:])
    assert late.terms["error_low_noise"] == 0.0
