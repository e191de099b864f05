import numpy as np
import pytest
import torch
from PIL import Image

import ldm_lab as lab
from ldm_lab.core.errors import ImageError, RequestError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.tasks import InpaintingSettings, Pipeline
from ldm_lab.tasks.inpainting import inpainting, seen_mask

HALF = np.zeros((16, 16), dtype=bool)
HALF[:, 8:] = True
EMPTY, FULL = np.zeros_like(HALF), np.ones_like(HALF)
CONTENTS = ("original", "fill", "noise")
HALFWAY = {"prompt": "a star", "strength": 0.5, "seeds": [1, 2]}


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return Pipeline(tiny_model, defaults={"num_steps": 4, "sampler": "ddim"})


@pytest.fixture(scope="module")
def trained(inpainting_model):
    return Pipeline(inpainting_model, defaults={"num_steps": 4, "sampler": "ddim"})


def pixels(image):
    return np.asarray(image)


class TestAnyModel:
    @pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "euler-a", "heun"])
    def test_a_full_mask_is_generation(self, pipeline, picture, sampler):
        run = pipeline.inpainting(picture, FULL, prompt="a star", seeds=[1, 2], sampler=sampler)
        expected = pipeline.text_to_image("a star", seeds=[1, 2], sampler=sampler)
        assert [image.tobytes() for image in run.images] == [image.tobytes() for image in expected.images]
        assert "the mask covers the whole picture: nothing of it is kept" in run.notes

    def test_an_empty_mask_gives_the_picture_and_its_latent(self, pipeline, picture):
        run = pipeline.inpainting(picture, EMPTY, prompt="a star", seeds=[1, 2])
        assert [image.tobytes() for image in run.images] == [picture.tobytes()] * 2
        z_0 = pipeline.encode(picture)
        assert (run.trajectory[-1].z_next - z_0).abs().max() < 1e-5
        assert "the mask is empty: the picture comes back as it is" in run.notes

    def test_known_pixels_are_the_input_s_and_the_others_are_not(self, pipeline, picture):
        run = pipeline.inpainting(picture, HALF, prompt="a star", seeds=[1, 2])
        for image in run.images:
            assert np.array_equal(pixels(image)[~HALF], pixels(picture)[~HALF])
            assert (pixels(image)[HALF] != pixels(picture)[HALF]).mean() > 0.9
        assert run.images[0].tobytes() != run.images[1].tobytes()

    def test_the_report_is_how_much_they_would_have_changed(self, pipeline, picture):
        run = pipeline.inpainting(picture, HALF, prompt="a star")
        (before,) = run.outcome.decode(run.trajectory[-1].z_next)
        gap = np.abs(pixels(before).astype(int) - pixels(picture))[~HALF]
        assert f"by {gap.mean():.2f} of 255 levels on average and {gap.max()} at most" in run.notes[-1]

    def test_the_hole_does_not_depend_on_what_was_there(self, pipeline, picture):
        """At the latents' size: what the first stage sees beside the hole is the same in both."""
        grey = pixels(picture).copy()
        corner = np.zeros_like(HALF)
        corner[12:, 12:] = True
        grey[14:, 14:] = 128
        runs = [pipeline.inpainting(image, corner, prompt="a star") for image in (picture, Image.fromarray(grey))]
        first, second = (run.trajectory[0].z_t for run in runs)
        assert (first - second).abs().max() == 0

    def test_resampling_walks_more_and_ends_elsewhere(self, pipeline, picture):
        asked = {"prompt": "a star", "jump_length": 2}
        plain, again = (pipeline.inpainting(picture, HALF, num_resamplings=n, **asked) for n in (1, 3))
        assert len(again.trajectory) > len(plain.trajectory) == 4
        assert again.images[0].tobytes() != plain.images[0].tobytes()
        assert np.array_equal(pixels(again.images[0])[~HALF], pixels(picture)[~HALF])

    def test_a_jump_longer_than_the_walk_is_refused(self, pipeline, picture):
        with pytest.raises(RequestError, match="jump_length is 10, but the walk has only 4 steps"):
            pipeline.inpainting(picture, HALF, num_resamplings=2)


class TestMaskedContent:
    """What lay under the mask shows through below strength 1, unless something else was put there."""

    @pytest.fixture
    def other(self, picture):
        """The same outside of the mask."""
        values = pixels(picture).copy()
        values[HALF] = 255 - values[HALF]
        return Image.fromarray(values)

    def images(self, pipeline, image, content, **asked):
        run = pipeline.inpainting(image, HALF, masked_content=content, **HALFWAY | asked)
        return [pixels(made) for made in run.images]

    @pytest.mark.parametrize("blur", [0, 3])
    @pytest.mark.parametrize("content", ["fill", "noise"])
    def test_fill_and_noise_hold_no_trace_of_it(self, pipeline, picture, other, content, blur):
        first, second = (self.images(pipeline, image, content, mask_blur=blur) for image in (picture, other))
        assert all(map(np.array_equal, first, second))

    def test_the_original_does(self, pipeline, picture, other):
        first, second = (self.images(pipeline, image, "original") for image in (picture, other))
        assert not np.array_equal(first[0], second[0])

    @pytest.mark.parametrize("content", CONTENTS)
    def test_known_pixels_are_the_input_s(self, pipeline, picture, content):
        for made in self.images(pipeline, picture, content, mask_blur=5):
            assert np.array_equal(made[~HALF], pixels(picture)[~HALF])

    def test_a_walk_without_steps_shows_what_was_put_there(self, pipeline, picture):
        original, filled, noise = (self.images(pipeline, picture, name, strength=0.0) for name in CONTENTS)
        assert not np.array_equal(filled[0], original[0])
        assert np.array_equal(filled[0], filled[1])
        assert not np.array_equal(noise[0], noise[1])  # each image has noise of its own

    def test_noise_is_standard_normal_in_the_cells_of_the_hole_alone(self, pipeline, picture):
        """The latents where the walk begins; a cell has 2 x 2 pixels."""
        fill, noise = (
            inpainting(pipeline.model, self.settings(pipeline, picture, name)).z_0 for name in ("fill", "noise")
        )
        assert torch.equal(noise[..., :4], fill[..., :4])
        assert torch.equal(noise[0, :, :, 4:], sample_noise((3, 8, 8), [3], stream="masked content")[0, :, :, 4:])

    def settings(self, pipeline, picture, content):
        asked = {"image": picture, "mask": HALF, "prompt": "a star", "seeds": [3], "masked_content": content}
        return pipeline.resolved(InpaintingSettings.of(**asked))

    def test_of_a_trained_model_too(self, trained, picture, other):
        asked = {"prompt": "", "num_steps": 4}
        for content, is_same in (("fill", True), ("noise", True), ("original", False)):
            first, second = (self.images(trained, image, content, **asked) for image in (picture, other))
            assert np.array_equal(first[0], second[0]) == is_same


class TestMaskBlur:
    def test_the_new_part_fades_in_inside_of_the_edge(self, pipeline, picture):
        """By thirds; the border of the picture is no edge."""
        asked = {"prompt": "a star", "seeds": [1]}
        hard, soft = (pixels(pipeline.inpainting(picture, HALF, mask_blur=n, **asked).images[0]) for n in (0, 2))
        before = pixels(picture).astype(float)
        shares = np.zeros(16)
        shares[8:] = [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1]
        blended = before + shares[:, None] * (hard - before)
        assert np.abs(soft - blended).max() <= 0.5 + 1e-4  # rounded to bytes
        assert np.array_equal(soft[:, 10:], hard[:, 10:])
        assert not np.array_equal(soft, hard)

    def test_a_part_that_is_looked_at_alone_fades_as_in_the_whole_picture(self, pipeline):
        """Without padding, the edge of the mask is that of the part."""
        large = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 48, 3), dtype=np.uint8))
        mask = np.zeros((16, 48), dtype=bool)
        mask[:, 16:32] = True
        asked = {"prompt": "a star", "only_masked": True, "padding": 0}
        hard, soft = (pixels(pipeline.inpainting(large, mask, mask_blur=n, **asked).images[0]) for n in (0, 1))
        assert np.array_equal(soft[:, 17:31], hard[:, 17:31])
        for edge in (16, 31):
            between = (hard[:, edge].astype(float) + pixels(large)[:, edge]) / 2
            assert np.abs(soft[:, edge] - between).max() <= 0.5

    def test_a_mask_that_is_too_narrow_for_it_is_said(self, pipeline, picture):
        narrow = EMPTY.copy()
        narrow[:, 7:9] = True
        run = pipeline.inpainting(picture, narrow, prompt="a star", mask_blur=4)
        assert "no pixel is wholly new, 20% at most: the mask is narrow for this mask_blur" in run.notes
        assert not any("wholly new" in note for note in pipeline.inpainting(picture, narrow, prompt="a star").notes)

    def test_a_margin_fades_in_too(self, pipeline, picture):
        """From the picture's edge, drawn out."""
        hard, soft = (
            pixels(pipeline.outpainting(picture, right=8, prompt="a star", mask_blur=n).images[0]) for n in (0, 1)
        )
        assert np.array_equal(soft[:, :16], pixels(picture))
        assert np.abs(soft[:, 16] - (hard[:, 16].astype(float) + pixels(picture)[:, 15]) / 2).max() <= 0.5
        assert np.array_equal(soft[:, 17:], hard[:, 17:])


def test_a_png_brings_content_and_blur_back(pipeline, picture, tmp_path):
    asked = {"masked_content": "noise", "mask_blur": 3, "strength": 0.5}
    run = pipeline.inpainting(picture, HALF, prompt="a star", **asked)
    run.images[0].save(tmp_path / "x.png")
    opened = lab.open_run(tmp_path / "x.png", model=pipeline)
    assert {name: getattr(opened.settings, name) for name in asked} == asked
    assert opened.notes[-1].endswith("equals the file bit for bit")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"masked_content": "blur"}, "masked_content is 'blur'; choose one of original, fill, noise"),
        ({"mask_blur": -1}, "mask_blur is -1; it must be from 0 to 64"),
        ({"mask_blur": 65}, "mask_blur is 65; it must be from 0 to 64"),
    ],
)
def test_other_contents_and_widths_are_refused(pipeline, picture, asked, sentence):
    with pytest.raises(RequestError, match=sentence):
        pipeline.inpainting(picture, HALF, **asked)


class TestTrainedModel:
    def test_known_pixels_are_the_input_s(self, trained, picture):
        run = trained.inpainting(picture, HALF, seeds=[1])
        assert np.array_equal(pixels(run.images[0])[~HALF], pixels(picture)[~HALF])
        assert (pixels(run.images[0])[HALF] != pixels(picture)[HALF]).mean() > 0.9

    def test_the_model_is_told_what_is_visible_and_where_the_hole_is(self, trained, picture):
        def latent(image, mask):
            return trained.inpainting(image, mask).trajectory[-1].z_next

        other, inside = pixels(picture).copy(), pixels(picture).copy()
        other[0, 0] ^= 128
        inside[8, 12] ^= 128
        before = latent(picture, HALF)
        assert (latent(Image.fromarray(other), HALF) - before).abs().max() > 1e-6
        assert (latent(Image.fromarray(inside), HALF) - before).abs().max() == 0
        assert (latent(picture, FULL) - before).abs().max() > 1e-4

    def test_it_reads_no_prompt(self, trained, picture):
        with pytest.raises(RequestError, match="prompt is 'a star', but this model is conditioned on masked images"):
            trained.inpainting(picture, HALF, prompt="a star")


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_mask_of_another_size_names_both(pipeline, picture, where):
    size = {} if where == "before" else {"width": 8, "height": 8}
    with pytest.raises(ImageError, match="the mask has 8 x 8 pixels, the image 16 x 16; make them the same size"):
        pipeline.inpainting(picture, np.zeros((8, 8), dtype=bool), **size)


def test_picture_and_mask_are_scaled_together(pipeline, picture):
    run = pipeline.inpainting(picture, HALF, prompt="a star", width=24, height=24)
    assert run.settings.mask.size == run.settings.image.size == run.images[0].size == (24, 24)
    mask = np.asarray(run.settings.mask.image) > 0
    assert np.array_equal(mask, np.repeat(np.arange(24)[None] >= 12, 24, axis=0))


class TestOutpainting:
    def test_the_picture_stands_where_it_was_put(self, pipeline, picture):
        run = pipeline.outpainting(picture, left=4, top=8, bottom=8, prompt="a star")
        (image,) = run.images
        assert image.size == (20, 32)
        assert image.crop((4, 8, 20, 24)).tobytes() == picture.tobytes()

    def test_it_is_inpainting_of_a_larger_picture(self, pipeline, picture):
        canvas = Image.new("RGB", (32, 16))
        canvas.paste(picture)
        canvas.paste(picture.crop((15, 0, 16, 16)).resize((16, 16), Image.Resampling.NEAREST), (16, 0))
        mask = np.repeat(np.arange(32)[None] >= 16, 16, axis=0)
        run = pipeline.outpainting(picture, right=16, prompt="a star")
        assert run.images[0].tobytes() == pipeline.inpainting(canvas, mask, prompt="a star").images[0].tobytes()

    def test_a_trained_model_does_it_too(self, trained, picture):
        assert trained.outpainting(picture, bottom=16).images[0].size == (16, 32)

    def test_no_margin_is_refused(self, pipeline, picture):
        with pytest.raises(RequestError, match="left, top, right and bottom are all 0"):
            pipeline.outpainting(picture)

    def test_a_size_that_does_not_fit_is_refused(self, pipeline, picture):
        with pytest.raises(RequestError, match="width is 19; it must be a multiple of 4"):
            pipeline.outpainting(picture, left=3)


class TestOnlyMasked:
    @pytest.fixture
    def large(self):
        return Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 41, 3), dtype=np.uint8))

    @pytest.fixture
    def mask(self):
        mask = np.zeros((30, 41), dtype=bool)
        mask[20:26, 30:38] = True
        return mask

    def test_the_part_is_what_the_model_makes_of_it_alone(self, pipeline, large, mask):
        """Sides of 41 and 30, which the network cannot take, are no hindrance."""
        run = pipeline.inpainting(large, mask, prompt="a star", only_masked=True, padding=2)
        box = (25, 14, 41, 30)
        alone = pipeline.inpainting(large.crop(box), mask[14:30, 25:41], prompt="a star")
        assert "only 16 x 16 pixels were looked at, from (25, 14) on" in run.notes
        (image,) = run.images
        assert image.crop(box).tobytes() == alone.images[0].tobytes()
        assert np.array_equal(pixels(image)[~mask], pixels(large)[~mask])
        assert (pixels(image)[mask] != pixels(large)[mask]).mean() > 0.9
        assert run.notes[-1] == alone.notes[-1]  # the report on known pixels

    def test_of_an_empty_mask_nothing_is_cut_out(self, pipeline, picture):
        run = pipeline.inpainting(picture, EMPTY, prompt="a star", only_masked=True)
        assert run.images[0].tobytes() == picture.tobytes()

    def test_a_png_brings_it_back(self, pipeline, large, mask, tmp_path):
        run = pipeline.inpainting(large, mask, prompt="a star", only_masked=True, num_steps=2)
        run.images[0].save(tmp_path / "x.png")
        assert lab.open_run(tmp_path / "x.png", model=pipeline).notes[-1].endswith("equals the file bit for bit")


class TestSeenMask:
    def settings(self, pipeline, picture, mask, **asked):
        return pipeline.resolved(InpaintingSettings.of(image=picture, mask=mask, **asked))

    def test_a_cell_is_repainted_if_any_of_its_pixels_is(self, pipeline, picture):
        mask = EMPTY.copy()
        mask[3, 5] = True  # in cells of 2 x 2: rows 2 and 3, columns 4 and 5
        seen, box = seen_mask(pipeline.model, self.settings(pipeline, picture, mask))
        assert box == (0, 0, 16, 16)
        assert seen.getbbox() == (4, 2, 6, 4)
        assert set(seen.tobytes()) == {0, 255}

    def test_of_only_masked_it_is_the_part_that_is_looked_at(self, pipeline):
        large = Image.new("RGB", (40, 32))
        mask = np.zeros((32, 40), dtype=bool)
        mask[20:26, 30:38] = True
        seen, box = seen_mask(pipeline.model, self.settings(pipeline, large, mask, only_masked=True, padding=0))
        assert seen.size == (box[2] - box[0], box[3] - box[1]) == (16, 16)
        found = [edge + box[place % 2] for place, edge in enumerate(seen.getbbox())]
        beyond = [abs(edge - painted) for edge, painted in zip(found, (30, 20, 38, 26), strict=True)]
        assert max(beyond) < 2  # the part does not begin at an even pixel, and cells have 2
