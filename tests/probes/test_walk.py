import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.probes import measure_walk
from ldm_lab.sampling import Step


@pytest.fixture
def step():
    z = torch.full((2, 3, 4, 4), 2.0)
    z[1] *= 3
    return Step(0, 10, z_t=z, z_0_pred=z / 2, noise_pred=z, z_next=z - 0.5, output=z)


def test_numbers_of_the_image_that_is_asked_for(step):
    schedule = NoiseSchedule(ScheduleConfig())
    measured = measure_walk([step, step], schedule, image=1)
    assert measured.z_t == (6.0, 6.0)
    assert measured.z_0 == (3.0, 3.0)
    assert measured.distance == (0.5, 0.5)
    assert measured.noise_rate[0] == pytest.approx((1 - schedule.alphas_cumprod[10].item()) ** 0.5)


def test_what_is_not_there_is_refused(step):
    schedule = NoiseSchedule(ScheduleConfig())
    with pytest.raises(RequestError, match="there is no image 2; the run has 2"):
        measure_walk([step], schedule, image=2)
    with pytest.raises(RequestError, match="the run has no steps"):
        measure_walk([], schedule)
