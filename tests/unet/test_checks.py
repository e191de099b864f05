"""Every mistake of a caller is one sentence with the value in it."""

import pytest
import torch

from ldm_lab.core.errors import ShapeError

T = torch.tensor([1, 2])

LATENTS = {
    "channels": (
        (2, 4, 4, 8),
        {},
        "the latent has shape (2, 4, 4, 8) and 0 channels are concatenated.* with 3 channels",
    ),
    "dimensions": ((2, 3, 4), {}, "the latent has shape (2, 3, 4) and 0 channels"),
    "odd side": ((2, 3, 4, 7), {}, r"the latent has sides (4, 7); this UNet halves them 1 times.* multiples of 2"),
    "levels": ((2, 3, 4, 6), {"channel_mult": (1, 1, 1)}, r"sides (4, 6); .* halves them 2 times.* multiples of 4"),
}


def escaped(message: str) -> str:
    return message.replace("(", r"\(").replace(")", r"\)")


@pytest.mark.parametrize(("shape", "changes", "message"), LATENTS.values(), ids=LATENTS.keys())
def test_a_latent_that_does_not_fit(make_unet, draw, shape, changes, message):
    unet = make_unet(**changes)
    with pytest.raises(ShapeError, match=escaped(message)):
        unet(draw(*shape), T)
    with pytest.raises(ShapeError, match=escaped(message)):
        unet.bind(None, T)(draw(*shape), 0)


@pytest.mark.parametrize("part", ["context", "vector"])
def test_a_condition_that_is_missing_or_not_read(make_unet, make_cond, draw, part):
    z_t, reader, plain = draw(2, 3, 4, 8), make_unet(**{f"{part}_dim": 6}), make_unet()
    with pytest.raises(ShapeError, match=f"built with {part}_dim=.*, but the condition has no {part}"):
        reader(z_t, T, None)
    with pytest.raises(ShapeError, match=f"built with {part}_dim=.*, but the condition has no {part}"):
        reader.bind(make_cond(2, "concat"), T)
    with pytest.raises(ShapeError, match=f"the condition has a {part}, but this UNet was built with {part}_dim=None"):
        plain(z_t, T, make_cond(2, part))


def test_a_condition_of_another_width(make_unet, make_cond, draw):
    message = "context has 6 channels, but this UNet was built with context_dim=7; use a conditioner of width 7"
    with pytest.raises(ShapeError, match=message):
        make_unet(context_dim=7)(draw(2, 3, 4, 8), T, make_cond(2, "context"))
    with pytest.raises(ShapeError, match="vector has 4 channels, but this UNet was built with vector_dim=5"):
        make_unet(vector_dim=5).bind(make_cond(2, "vector"), T)


def test_concatenated_maps_that_do_not_fit(make_unet, make_cond, draw):
    unet, cond = make_unet(in_channels=5), make_cond(2, "concat")
    with pytest.raises(ShapeError, match="and 2 channels are concatenated; .* with 5 channels in all"):
        unet(draw(2, 4, 4, 8), T, cond)
    with pytest.raises(ShapeError, match=r"concat has sides \(4, 8\), but the latent has \(8, 8\)"):
        unet(draw(2, 3, 8, 8), T, cond)


def test_numbers_of_conditions_and_latents_that_differ(make_unet, make_cond, draw):
    unet = make_unet(context_dim=6)
    with pytest.raises(ShapeError, match="3 conditions for 2 latents with copies=1"):
        unet(draw(2, 3, 4, 8), T, make_cond(3, "context"))
    with pytest.raises(ShapeError, match="4 conditions for 3 latents with copies=2"):
        unet.bind(make_cond(4, "context"), T, copies=2)(draw(3, 3, 4, 8), 0)
    with pytest.raises(ShapeError, match="3 conditions for copies=2; it must divide them"):
        unet.bind(make_cond(3, "context"), T, copies=2)
    with pytest.raises(ShapeError, match="for copies=0"):
        unet.bind(make_cond(3, "context"), T, copies=0)


def test_steps_to_bind_are_a_list(make_unet):
    with pytest.raises(ShapeError, match=r"the steps have shape \(\); they must have shape \(number of steps,\)"):
        make_unet().bind(None, torch.tensor(3))
