import pytest
import torch
import torch.nn.functional as F

from ldm_lab.conditioning import MaskedImage, MaskedImageConfig
from ldm_lab.core.errors import RequestError
from ldm_lab.core.masks import MaskedPicture
from ldm_lab.core.seeding import generator


def draw(height=8, width=12, *, seed=0, hole=(slice(0, 4), slice(4, 9))):
    image = torch.rand(3, height, width, generator=generator(seed)) * 2 - 1
    mask = torch.zeros(1, height, width)
    mask[0][hole] = 1
    return MaskedPicture(image, mask)


def first_stage(x):
    """Stands for an encoder with f = 4 and one channel more than a picture has."""
    return F.avg_pool2d(torch.cat([x, x[:, :1] * 2], dim=1), 4)


@pytest.fixture
def model():
    model = MaskedImage(MaskedImageConfig(latent_channels=4))
    model.attach(first_stage)
    return model


def test_what_is_visible_is_encoded_and_the_mask_follows(model):
    picture = draw()
    concat = model.encode([picture]).concat
    assert concat.shape == (1, 5, 2, 3)
    holed = picture.image.clone()
    holed[:, 0:4, 4:9] = -1.0
    assert torch.equal(concat[:, :4], first_stage(holed[None]))
    assert concat[0, 4].tolist() == [[-1, 1, 1], [-1, -1, -1]]  # the hole's last column touches the third cell


def test_aligned_holes_give_what_the_reference_computes(model):
    """LDM's scripts/inpaint.py on its own terms: [0, 1], (1 - mask) · image, then 2x - 1, the mask by nearest."""
    picture = draw(hole=(slice(0, 4), slice(4, 8)))
    image, mask = (picture.image[None] + 1) / 2, picture.mask[None]
    z = first_stage((1 - mask) * image * 2 - 1)
    expected = torch.cat([z, F.interpolate(mask * 2 - 1, size=z.shape[-2:])], dim=1)
    torch.testing.assert_close(model.encode([picture]).concat, expected, rtol=0, atol=1e-6)


def test_empty_and_full_masks_are_defined(model):
    everything, nothing = (slice(None), slice(None)), (slice(0), slice(0))
    picture = draw(hole=nothing)
    assert torch.equal(model.encode([picture]).concat[:, :4], first_stage(picture.image[None]))
    full = model.encode([draw(hole=everything), draw(hole=everything, seed=1)]).concat
    assert torch.equal(full[0], full[1])  # nothing of the pictures is seen
    assert model.notes([picture, draw()]) == ["the mask is empty: nothing is repainted"]
    assert model.notes([draw(hole=everything)]) == ["the mask covers the whole picture: nothing of it is seen"]


@pytest.mark.parametrize(("channels", "total"), [(3, 7), (4, 9)])
def test_the_unet_reads_seven_or_nine_channels(channels, total):
    config = MaskedImageConfig(latent_channels=channels)
    assert channels + config.concat_channels == channels + MaskedImage(config).concat_channels == total


def test_the_first_stage_is_neither_trained_nor_saved(model):
    encoder = torch.nn.Conv2d(3, 4, 4, stride=4)
    model.attach(encoder)
    assert not model.encode([draw()]).concat.requires_grad
    assert not list(model.parameters())
    assert not model.state_dict()


def test_pictures_of_one_batch_have_one_size(model):
    with pytest.raises(RequestError, match="the masked pictures of one batch are 12 x 8 and 8 x 8 pixels"):
        model.prepare([draw(), draw(8, 8)])


@pytest.mark.parametrize(("y", "given"), [(None, "None"), (torch.zeros(3, 8, 8), "of type Tensor")])
def test_what_is_no_masked_picture_is_refused(model, y, given):
    message = rf"condition 1 is {given}; this model needs a masked picture \(MaskedPicture\) for every image"
    with pytest.raises(RequestError, match=message):
        model.prepare([draw(), y])
