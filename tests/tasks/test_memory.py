import numpy as np
import pytest
import torch

from ldm_lab.core.errors import NotEnoughMemoryError
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.tasks.flow import carry_out
from ldm_lab.tasks.memory import in_batches, memory_explained

NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


class FakeDecoder:
    """Doubles its input, and has memory for ``most`` rows."""

    def __init__(self, most, error=NO_MEMORY):
        self.most, self.error, self.seen = most, error, []

    def __call__(self, z):
        self.seen.append(len(z))
        if len(z) > self.most:
            raise self.error
        return 2 * z


Z = torch.arange(11.0)[:, None]


@pytest.mark.parametrize(
    ("most", "seen"), [(8, [8, 3]), (5, [8, 2, 2, 2, 2, 2, 1]), (1, [8, 2, *[1] * 11]), (7, [8, 2, 2, 2, 2, 2, 1])]
)
def test_fewer_at_once_give_the_same_rows(most, seen):
    decoder = FakeDecoder(most)
    torch.testing.assert_close(in_batches(decoder, Z), 2 * Z, rtol=0, atol=0)
    assert decoder.seen == seen


@pytest.mark.parametrize(("rows", "seen"), [(11, [8, 2, 1]), (2, [2, 1]), (1, [1])])
def test_three_attempts_then_one_sentence(rows, seen):
    decoder = FakeDecoder(0)
    with pytest.raises(NotEnoughMemoryError, match=f"not enough memory to decode 1 of {rows} images; ask for fewer"):
        in_batches(decoder, Z[:rows])
    assert decoder.seen == seen


def test_what_is_done_is_not_done_again():
    """Memory may run out in the midst, when another process takes it."""
    decoder = FakeDecoder(8)

    def later(z):
        decoder.most = 8 if not decoder.seen else 2
        return decoder(z)

    torch.testing.assert_close(in_batches(later, Z), 2 * Z, rtol=0, atol=0)
    assert decoder.seen == [8, 3, 2, 1]


def test_other_errors_pass():
    decoder = FakeDecoder(0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        in_batches(decoder, Z)
    assert decoder.seen == [8]


def test_the_allocator_of_the_cpu_is_understood():
    message = "not enough memory to hold a petabyte"
    with pytest.raises(NotEnoughMemoryError, match=message), memory_explained("to hold a petabyte"):
        torch.empty(10**15)


def pixels(run):
    return torch.stack([torch.from_numpy(np.array(image, dtype=np.int16)) for image in run.images])


def test_a_task_whose_decoder_has_little_memory_makes_the_same_images(make_tiny_model):
    model, settings = make_tiny_model(), TextToImageSettings.of(prompt="a star", seeds=range(3), num_steps=1)
    expected = pixels(carry_out(model, settings))
    genuine = model.autoencoder.decode
    decoder = FakeDecoder(1)
    model.autoencoder.decode = lambda z: genuine(decoder(z) / 2)
    torch.testing.assert_close(pixels(carry_out(model, settings)), expected, rtol=0, atol=1)  # sums in another order
    assert decoder.seen == [3, 2, 1, 1, 1]


def test_a_walk_without_memory_is_one_sentence(make_tiny_model):
    model = make_tiny_model()
    model.unet.conv_in.forward = FakeDecoder(0)
    with pytest.raises(NotEnoughMemoryError, match="not enough memory to make 2 images of 16 × 16 at once"):
        carry_out(model, TextToImageSettings.of(prompt="a star", seeds=range(2), num_steps=1))
