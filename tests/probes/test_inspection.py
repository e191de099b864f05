import pytest
import torch

from ldm_lab.core.errors import ShapeError
from ldm_lab.probes import channel_histograms, inspect_latent, latent_statistics, radial_power_spectrum
from ldm_lab.tasks import Pipeline


@pytest.fixture
def pipeline(tiny_model):
    return Pipeline(tiny_model)


def test_it_is_what_the_probes_say(pipeline, draw):
    z = draw(3, 8, 8).float()
    found = inspect_latent(pipeline, z)
    assert found.z is z
    assert found.image.tobytes() == pipeline.decode(z[None])[0].tobytes()
    assert found.problem == ""
    torch.testing.assert_close(found.statistics.kl, latent_statistics(z[None]).kl)
    torch.testing.assert_close(found.histograms, channel_histograms(z))
    torch.testing.assert_close(found.decades, radial_power_spectrum(z[None]).power[0].log10())


def test_what_cannot_be_decoded_is_measured_nevertheless(pipeline, draw):
    z = draw(3, 8, 8).float()
    z[1, 2, 3] = torch.nan
    found = inspect_latent(pipeline, z)
    assert found.image is None
    assert found.problem.startswith("the decoder made")
    assert found.statistics.num_nan.tolist() == [0, 1, 0]
    assert found.decades.isnan().all(1).tolist() == [False, True, False]


def test_a_batch_is_refused(pipeline):
    with pytest.raises(ShapeError, match="expected one latent"):
        inspect_latent(pipeline, torch.zeros(1, 3, 8, 8))
