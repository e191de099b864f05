import numpy as np
import torch

from ldm_lab.unet.embedding import EmbeddingMLP, PlaceEmbedding, sinusoids


def test_cosines_then_sines_of_frequencies_from_one_to_almost_a_ten_thousandth():
    t = np.array([0, 1, 37, 999])
    angles = t[:, None] / 10_000.0 ** (np.arange(8) / 8)
    expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    # fp32 angles up to 999 have a spacing of 6e-5
    np.testing.assert_allclose(sinusoids(torch.from_numpy(t), 16), expected, atol=1e-4)


def test_it_is_single_precision_whatever_the_steps_are():
    assert sinusoids(torch.tensor([3]), 4).dtype == torch.float32
    assert torch.equal(sinusoids(torch.tensor([3]), 4), sinusoids(torch.tensor([3.0], dtype=torch.float64), 4))


def test_every_step_has_its_own_embedding():
    table = sinusoids(torch.arange(1000), 32)
    assert torch.pdist(table).min() > 1e-2


def test_the_mlp_takes_the_precision_of_its_weights():
    embedding = EmbeddingMLP(4, 8).to(torch.bfloat16)(sinusoids(torch.tensor([1, 2]), 4))
    assert (embedding.shape, embedding.dtype) == ((2, 8), torch.bfloat16)


def test_places_are_the_same_share_of_the_image_at_any_size():
    """The identity shows the coordinates: x grows to the right and y down, cell centres from -1 to 1."""
    embedding = PlaceEmbedding(2).double()
    embedding.linear.weight.data.copy_(torch.eye(2)[:, :, None, None])
    embedding.linear.bias.data.zero_()
    x, y = embedding(torch.zeros(5, 7, 2, 4))[0]
    assert x.tolist() == [[-0.75, -0.25, 0.25, 0.75]] * 2
    assert y.tolist() == [[-0.5] * 4, [0.5] * 4]
    doubled = embedding(torch.zeros(1, 7, 4, 8))
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(doubled, 2)[0], torch.stack([x, y]))
