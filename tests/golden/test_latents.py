"""Eight stored latents: the whole walk of text to image, with models whose weights are drawn from a seed.

``pytest tests/golden --update-golden`` writes them anew; do that in a commit of its own, with a line in the changelog.
"""

from pathlib import Path

import pytest
import torch

from ldm_lab.checkpoints import read_tensors, write_tensors
from ldm_lab.tasks import TextToImageSettings, stream

FOLDER = Path(__file__).parent / "latents"
TOLERANCE = 1e-4  # in fp32 across machines: diffusers' own bar, and about 100 times what batch size and threads change

CASES = {
    "ddim": ("eps", {}),
    "ddpm": ("v", {"negative_prompt": "blue", "seeds": [3]}),
    "dpm++2m": ("v", {"guidance_rescale": 0.7}),
    "euler-a": ("eps", {"guidance_interval": (0.2, 0.8)}),
    "heun": ("z_0", {"guidance_scale": 1.0}),
    "lcm": ("v", {"prompt": ""}),
    "plms": ("v", {"width": 24, "seeds": [2**32 - 1]}),
    "unipc": ("v", {"num_steps": 7}),
}


@pytest.mark.parametrize("sampler", CASES)
def test_the_walk_ends_where_it_ended(make_tiny_model, request, sampler):
    prediction, values = CASES[sampler]
    asked = {"prompt": "a large red circle", "seeds": [0, 1], "num_steps": 5, "guidance_scale": 3.0} | values
    settings = TextToImageSettings.of(sampler=sampler, **asked)
    *_, last = stream(make_tiny_model(seed=11, prediction=prediction), settings)
    path = FOLDER / f"{sampler}.safetensors"
    if request.config.getoption("--update-golden"):
        write_tensors(path, {"z_0": last.z_next})
    torch.testing.assert_close(last.z_next, read_tensors(path)["z_0"], atol=TOLERANCE, rtol=TOLERANCE)


def test_the_tolerance_is_far_below_what_another_seed_changes():
    first, second = read_tensors(FOLDER / "ddim.safetensors")["z_0"]
    assert (first - second).abs().mean() > 100 * TOLERANCE
