import pytest
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.tasks.cost import MAX_PIXEL_STEPS, check_cost
from ldm_lab.tasks.flow import carry_out, stream
from ldm_lab.tasks.inpainting import InpaintingSettings
from ldm_lab.tasks.outpainting import OutpaintingSettings
from ldm_lab.tasks.super_resolution import SuperResolutionSettings


def request_of(num_images, side, num_steps):
    return TextToImageSettings.of(
        prompt="a star", seeds=range(num_images), num_steps=num_steps, width=side, height=side
    )


@pytest.mark.parametrize(
    ("num_images", "side", "num_steps"), [(64, 64, 1000), (1, 1024, 50), (5, 1000, 100)], ids=["many", "large", "limit"]
)
def test_what_a_person_wants_is_allowed(num_images, side, num_steps):
    check_cost(request_of(num_images, side, num_steps))


@pytest.mark.parametrize(
    ("num_images", "side", "num_steps", "message"),
    [
        (5, 1000, 101, "5 × 1000 × 1000 pixels × 101 steps are 505 million, more than the 500 million of one request; "
         "ask for at most 4 images or 100 steps or a smaller size"),
        (64, 1024, 1000, "are 67,109 million, .* ask for at most 7 steps or a smaller size"),
    ],
)  # fmt: skip
def test_beyond_the_limit_the_numbers_are_named_and_what_would_do(num_images, side, num_steps, message):
    with pytest.raises(RequestError, match=message):
        check_cost(request_of(num_images, side, num_steps))


def test_what_is_proposed_is_accepted():
    """7 steps or no images are for a request of 64 of 1024 × 1024; one step more is too much."""
    check_cost(request_of(64, 1024, 7))
    assert MAX_PIXEL_STEPS < 64 * 1024**2 * 8


@pytest.mark.parametrize("start", [carry_out, stream])
def test_every_task_is_checked_before_it_begins(tiny_model, start):
    settings = TextToImageSettings.of(prompt="a star", seeds=range(64), num_steps=1000, width=512, height=512)
    with pytest.raises(RequestError, match="64 × 512 × 512 pixels × 1000 steps are 16,778 million"):
        start(tiny_model, settings)


def test_what_is_made_counts_and_not_what_is_given(upscaling_model, tiny_model, picture):
    """A picture of 16 × 16 becomes one of 32 × 32; margins are made too; RePaint walks its steps again."""
    enlarged = SuperResolutionSettings.of(image=picture, width=512, height=512, num_steps=500)
    with pytest.raises(RequestError, match="1 × 1024 × 1024 pixels × 500 steps"):
        carry_out(upscaling_model, enlarged)
    wider = OutpaintingSettings.of(image=picture, right=1008, bottom=1008, num_steps=500)
    with pytest.raises(RequestError, match="1 × 1024 × 1024 pixels × 500 steps"):
        carry_out(tiny_model, wider)
    mask = Image.new("L", picture.size, 255)
    repeated = InpaintingSettings.of(
        image=picture, mask=mask, seeds=range(64), num_steps=1000, num_resamplings=50, jump_length=1
    )
    with pytest.raises(RequestError, match="64 × 16 × 16 pixels × 50000 steps"):
        carry_out(tiny_model, repeated)
