import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import channel_histograms, latent_walk


def test_it_holds_the_predictions_of_one_image(tiny_model, walk):
    steps = walk(tiny_model)
    found = latent_walk(steps[1:], image=1)
    assert found.steps == tuple(steps[1:])
    torch.testing.assert_close(found.z, torch.stack([step.z_0_pred[1] for step in steps[1:]]), rtol=0, atol=0)
    torch.testing.assert_close(found.histograms[1], channel_histograms(steps[2].z_0_pred[1]), rtol=0, atol=0)


def test_what_is_not_there_is_refused(tiny_model, walk):
    with pytest.raises(RequestError, match="no steps"):
        latent_walk([])
    with pytest.raises(RequestError, match="there is no image 2; the steps have 2"):
        latent_walk(walk(tiny_model), image=2)
