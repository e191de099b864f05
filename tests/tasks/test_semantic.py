import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ImageError, RequestError
from ldm_lab.tasks import MapPicture, Pipeline

NUMBERS = np.random.default_rng(0).integers(0, 4, (16, 16), dtype=np.uint8)


@pytest.fixture(scope="module")
def pipeline(semantic_model):
    return Pipeline(semantic_model, defaults={"num_steps": 2, "sampler": "ddim"})


def test_a_map_from_anywhere_is_the_same(tmp_path):
    grey = Image.fromarray(NUMBERS)
    palette = Image.new("P", (16, 16))
    palette.putdata(NUMBERS.ravel().tolist())
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.save(tmp_path / "p.png")
    grey.save(tmp_path / "g.png")
    data = (tmp_path / "p.png").read_bytes()
    sources = (tmp_path / "p.png", tmp_path / "g.png", data, grey, palette, NUMBERS, torch.from_numpy(NUMBERS).long())
    assert {MapPicture.of(source) for source in sources} == {MapPicture.of(NUMBERS)}
    assert torch.equal(MapPicture.of(data).tensor(), torch.from_numpy(NUMBERS.astype(np.int64)))
    assert MapPicture.from_json(MapPicture.of(data).to_json()) == MapPicture.of(NUMBERS)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Image.new("RGB", (4, 4)), "a semantic map has mode RGB; save the numbers of the classes as grey values"),
        (np.full((4, 4), 256), "numbers from 256 to 256; expected 0 to 255"),
        (np.zeros((4, 4)), r"a semantic map is float64 of shape \(4, 4\)"),
        (np.zeros((4, 4, 3), np.uint8), r"uint8 of shape \(4, 4, 3\)"),
        ("none.png", "'none.png' cannot be read"),
    ],
)
def test_what_is_no_map_is_named(source, message):
    with pytest.raises(ImageError, match=message):
        MapPicture.of(source)


def test_images_are_as_large_as_the_map(pipeline):
    wide = np.tile(NUMBERS, (1, 3))
    run = pipeline.semantic_to_image(wide, seeds=[1, 2])
    assert [image.size for image in run.images] == [(48, 16)] * 2
    assert pipeline.semantic_to_image(NUMBERS, width=32, height=32).images[0].size == (32, 32)


def test_every_cell_of_the_map_counts(pipeline):
    other = NUMBERS.copy()
    other[15, 15] = (other[15, 15] + 1) % 4
    runs = [pipeline.semantic_to_image(numbers) for numbers in (NUMBERS, other)]
    assert not torch.equal(runs[0].trajectory[-1].z_next, runs[1].trajectory[-1].z_next)


def test_patches_follow_the_map(pipeline):
    whole, patches, one = (pipeline.semantic_to_image(np.tile(NUMBERS, (1, 2)), patch_size=n) for n in (None, 16, 32))
    assert torch.equal(one.trajectory[-1].z_next, whole.trajectory[-1].z_next)
    assert patches.trajectory[-1].z_next.shape == whole.trajectory[-1].z_next.shape
    assert not torch.equal(patches.trajectory[-1].z_next, whole.trajectory[-1].z_next)


def test_an_unknown_class_is_named(pipeline):
    with pytest.raises(RequestError, match="a semantic map holds class 9; this model knows 0 to 3"):
        pipeline.semantic_to_image(np.full((16, 16), 9))


def test_another_kind_of_model_is_refused(tiny_model):
    with pytest.raises(
        RequestError, match=r"conditioned on semantic maps \(shapes-semantic\); this one is conditioned"
    ):
        Pipeline(tiny_model).semantic_to_image(NUMBERS)
