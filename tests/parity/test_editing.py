"""Image to image and inpainting are those of diffusers' Stable Diffusion pipelines: the same latents.

The pipelines run whole, at toy size, on latents instead of images and embeddings instead of prompts. Deliberate
differences, which these tests leave out:

* Strength 1 of image to image: diffusers keeps the trace of the image that z_T holds, here it is generation.
* Strengths between two steps: diffusers rounds the number of steps down, here it is rounded to the nearest.
* Second-order samplers of the catalogue, which restart their history inside the walk.
"""

import diffusers
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from diffusers import UNet2DConditionModel as TheirUNet

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.seeding import generator
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.sampling import Edit, Guidance, edit_steps
from ldm_lab.unet import UNet, UNetConfig

CONFIG = ScheduleConfig()
SEEDS = (3, 4)
SIDE = 4
SETTINGS = {"trained_betas": NoiseSchedule(CONFIG).betas.tolist(), "timestep_spacing": "trailing"}
SETTINGS |= {"prediction_type": "v_prediction"}  # eps would divide rounding errors by almost no signal at t = 999
SCHEDULERS = {
    "DDIMScheduler": {"clip_sample": False, "steps_offset": 1},
    "EulerDiscreteScheduler": {"steps_offset": 1},
    "DPMSolverMultistepScheduler": {"steps_offset": 1},
    "HeunDiscreteScheduler": {"steps_offset": 1},
}
SAME = {"rtol": 1e-5, "atol": 1e-5}


class Model:
    """Our network as the walk wants to know it."""

    prediction, device, dtype = "v", torch.device("cpu"), torch.float32

    def __init__(self, unet):
        self.unet, self.schedule = unet, NoiseSchedule(CONFIG)

    def bind(self, cond, timesteps, *, copies=1):
        return self.unet.bind(cond, timesteps, copies=copies)


@pytest.fixture(scope="module")
def their_vae():
    return AutoencoderKL(latent_channels=4, block_out_channels=(8,), norm_num_groups=4).eval()


@pytest.fixture
def unets(like):
    sizes = {"in_channels": 4, "out_channels": 4, "num_heads": 2, "context_dim": 12}
    ours = UNet(
        UNetConfig(channels=16, channel_mult=(1, 2), norm_groups=8, num_res_blocks=1, attention_levels=(1,), **sizes)
    )
    theirs = TheirUNet(
        sample_size=SIDE,
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=12,
        norm_num_groups=8,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    return like(ours, theirs)


def draw(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


Z_0, PROMPT, NEGATIVE = draw(2, 4, SIDE, SIDE, seed=1), draw(2, 5, 12, seed=2), draw(2, 5, 12, seed=3)
MASK = (torch.arange(SIDE * SIDE).reshape(1, 1, SIDE, SIDE) % 3 == 0).float()


def their_latents(pipeline_class, scheduler, unet, vae, *, guidance_scale, **request):
    parts = {"text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None}
    pipeline = pipeline_class(vae=vae, unet=unet, scheduler=scheduler, **parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt_embeds=PROMPT,
        negative_prompt_embeds=NEGATIVE,
        guidance_scale=guidance_scale,
        image=Z_0,
        generator=[generator("noise", seed, "start") for seed in SEEDS],
        output_type="latent",
        **request,
    ).images


@torch.no_grad()
def our_latents(scheduler, unet, *, guidance_scale, num_inference_steps, strength, mask=None):
    model = Model(unet)
    guidance = Guidance(scale=guidance_scale, negative=Conditioning(context=NEGATIVE))
    edit = Edit(z_0=Z_0, strength=strength, mask=mask)
    request = {"num_steps": num_inference_steps, "seeds": SEEDS, "guidance": guidance}
    *_, last = edit_steps(model, Conditioning(context=PROMPT), scheduler, edit, **request)
    return last.z_next


def make(name):
    return getattr(diffusers, name)(**SETTINGS, **SCHEDULERS[name])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_image_to_image(unets, their_vae, name):
    ours, theirs = unets
    for guidance_scale, strength in ((1.0, 0.6), (3.0, 0.25)):
        request = {"guidance_scale": guidance_scale, "num_inference_steps": 20, "strength": strength}
        expected = their_latents(StableDiffusionImg2ImgPipeline, make(name), theirs, their_vae, **request)
        torch.testing.assert_close(our_latents(make(name), ours, **request), expected, **SAME)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_inpainting(unets, their_vae, name):
    ours, theirs = unets
    for guidance_scale, strength in ((3.0, 1.0), (1.0, 0.6)):
        request = {"guidance_scale": guidance_scale, "num_inference_steps": 10, "strength": strength}
        masked = {"mask_image": MASK, "masked_image_latents": Z_0, "height": SIDE, "width": SIDE}
        expected = their_latents(StableDiffusionInpaintPipeline, make(name), theirs, their_vae, **request, **masked)
        found = our_latents(make(name), ours, **request, mask=MASK)
        torch.testing.assert_close(found, expected, **SAME)
        assert torch.equal(found[(MASK == 0).expand_as(found)], Z_0[(MASK == 0).expand_as(Z_0)])


def test_the_comparison_can_fail(unets, their_vae):
    """Negative control: one step more or less, or the other polarity of the mask, is another latent."""
    ours, theirs = unets
    request = {"guidance_scale": 1.0, "num_inference_steps": 10}
    expected = their_latents(
        StableDiffusionImg2ImgPipeline, make("DDIMScheduler"), theirs, their_vae, strength=0.5, **request
    )
    for strength in (0.4, 0.6):
        found = our_latents(make("DDIMScheduler"), ours, strength=strength, **request)
        assert (found - expected).abs().max() > 1e-3
    one, other = (our_latents(make("DDIMScheduler"), ours, strength=1.0, mask=m, **request) for m in (MASK, 1 - MASK))
    assert (one - other).abs().max() > 1e-3
