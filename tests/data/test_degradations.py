import math
import random

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ShapeError
from ldm_lab.core.images import to_pil, to_tensor
from ldm_lab.data import degradations
from ldm_lab.data.degradations import bicubic, practical, resize_bicubic
from ldm_lab.data.shape_scenes import ShapeScenes


@pytest.fixture(scope="module")
def scenes():
    return ShapeScenes().images(range(4))


@pytest.mark.parametrize(("factor", "width", "height"), [(4, 64, 48), (2, 20, 36)])
def test_bicubic_is_that_of_pil(factor, width, height):
    """Second implementation; it rounds and clips to bytes between its two passes, so values stay in the middle."""
    pixels = np.random.default_rng(0).integers(90, 166, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = to_tensor(image.resize((width // factor, height // factor), Image.Resampling.BICUBIC))
    torch.testing.assert_close(bicubic(to_tensor(image), factor=factor), expected, rtol=0, atol=1.6 / 127.5)
    up = to_tensor(image.resize((2 * width, 3 * height), Image.Resampling.BICUBIC))
    found = resize_bicubic(to_tensor(image), width=2 * width, height=3 * height)
    torch.testing.assert_close(found, up, rtol=0, atol=1.6 / 127.5)


def test_bicubic_antialiases(scenes):
    """Negative control: without it, stripes of one pixel would turn into ground or into paint."""
    stripes = torch.ones(1, 3, 16, 16)
    stripes[..., ::2] = -1
    assert bicubic(stripes).abs().max() < 0.2
    assert torch.nn.functional.interpolate(stripes, scale_factor=0.25, mode="bicubic").abs().min() < 2
    assert bicubic(scenes).abs().max() <= 1


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_practical_has_the_size_and_the_range(scenes, factor):
    image = scenes[0][:, :48, :48]
    for seed in range(12):
        small = practical(image, seed=seed, factor=factor)
        assert small.shape == (3, 48 // factor, 48 // factor)
        assert small.min() >= -1
        assert small.max() <= 1
        assert to_tensor(to_pil(small[None])).equal(small[None])  # bytes, as in a picture from outside


def test_practical_is_a_function_of_its_seed(scenes):
    first = [practical(scenes[0], seed=seed) for seed in range(20)]
    random.seed(1)
    torch.manual_seed(1)
    assert all(x.equal(practical(scenes[0], seed=seed)) for seed, x in enumerate(first))
    assert len({x.numpy().tobytes() for x in first}) == 20


def test_practical_is_worse_than_bicubic_but_shows_the_same_picture(scenes):
    clean = bicubic(scenes)
    errors = torch.stack(
        [(practical(x, seed=seed) - clean[i]).square().mean() for i, x in enumerate(scenes) for seed in range(15)]
    )
    assert errors.min() > 1e-4
    assert errors.max() < 0.5 * clean.var()
    assert errors.max() > 4 * errors.min()  # from hardly to badly


def test_all_orders_of_the_steps_occur(monkeypatch):
    """The resizing to the end never comes before the other."""
    orders, done, x = set(), [], torch.zeros(1, 3, 64, 64)
    for name in ("_resize", "_blur", "_add_noise", "_compress"):
        monkeypatch.setattr(degradations, name, lambda *args, name=name: done.append((name, args)))
    for seed in range(200):
        rng = random.Random(seed)
        done.clear()
        for step in degradations._shuffled_steps(rng, x, (16, 16), scale=4.0, noise=torch.Generator()):
            step(x)
        widths = [args[2] for name, args in done if name == "_resize"]
        assert len(widths) == 2
        assert widths[1] == 16
        orders.add(tuple(name for name, _ in done if name != "_compress"))
    assert len(orders) == math.factorial(5) // 4  # of two blurs, two resizings and the noise


def test_kernels_are_gaussians_of_the_asked_spread():
    places = torch.arange(25.0) - 12
    kernel = degradations._gaussian_kernel(25, (9.0, 1.0), angle=0.0)
    assert kernel.sum().item() == pytest.approx(1)
    assert (kernel.sum(0) * places**2).sum().item() == pytest.approx(9.0, rel=0.01)
    assert (kernel.sum(1) * places**2).sum().item() == pytest.approx(1.0, rel=0.01)
    turned = degradations._gaussian_kernel(25, (9.0, 1.0), angle=math.pi / 2)
    torch.testing.assert_close(turned, kernel.T, rtol=0, atol=1e-6)
    covariance = (degradations._gaussian_kernel(25, (9.0, 1.0), angle=math.pi / 4) * places[:, None] * places).sum()
    assert covariance.item() == pytest.approx(4.0, rel=0.01)  # half the difference of the variances


def test_blur_keeps_plain_ground_and_moves_nothing():
    kernel = degradations._gaussian_kernel(9, (2.0, 2.0), angle=0.0)
    ground = torch.full((1, 3, 12, 12), 0.3)
    torch.testing.assert_close(degradations._blur(ground, kernel), ground)
    dot = torch.zeros(1, 3, 21, 21)
    dot[:, :, 10, 10] = 1
    torch.testing.assert_close(degradations._blur(dot, kernel)[0, 1, 6:15, 6:15], kernel)


def test_noise_has_the_stated_strength():
    levels, shared = [], 0
    for seed in range(150):
        x = degradations._add_noise(random.Random(seed), torch.zeros(1, 3, 32, 32), torch.Generator().manual_seed(seed))
        levels.append(x.std().item() * 127.5)  # in levels of 255
        shared += x[0, 0].equal(x[0, 1])
    assert min(levels) > 0
    assert max(levels) < 27
    assert 40 < shared < 80  # 40 %


@pytest.mark.parametrize("function", [bicubic, lambda x, factor: practical(x[0], seed=0, factor=factor)])
def test_sizes_that_do_not_divide_are_refused(function):
    with pytest.raises(ShapeError, match="an image of 10 x 8 pixels cannot be made 4 times smaller"):
        function(torch.zeros(1, 3, 8, 10), factor=4)
