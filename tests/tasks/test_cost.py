import pytest

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.tasks.cost import MAX_PIXEL_STEPS, check_cost
from ldm_lab.tasks.flow import carry_out, stream


@pytest.mark.parametrize(
    ("num_images", "side", "num_steps"), [(64, 64, 1000), (1, 1024, 50), (5, 1000, 100)], ids=["many", "large", "limit"]
)
def test_what_a_person_wants_is_allowed(num_images, side, num_steps):
    check_cost(num_images=num_images, width=side, height=side, num_steps=num_steps)


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
        check_cost(num_images=num_images, width=side, height=side, num_steps=num_steps)


def test_what_is_proposed_is_accepted():
    """7 steps or no images are for a request of 64 of 1024 × 1024; one step more is too much."""
    check_cost(num_images=64, width=1024, height=1024, num_steps=7)
    assert MAX_PIXEL_STEPS < 64 * 1024**2 * 8


@pytest.mark.parametrize("start", [carry_out, stream])
def test_every_task_is_checked_before_it_begins(tiny_model, start):
    settings = TextToImageSettings.of(prompt="a star", seeds=range(64), num_steps=1000, width=512, height=512)
    with pytest.raises(RequestError, match="64 × 512 × 512 pixels × 1000 steps are 16,778 million"):
        start(tiny_model, settings)
