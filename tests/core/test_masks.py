import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ldm_lab.core.errors import ImageError, ShapeError
from ldm_lab.core.masks import (
    KnownPixels,
    MaskedPicture,
    crop_around,
    fill_hole,
    known_pixels,
    latent_mask,
    paste_back,
    soften_edge,
    to_mask,
)
from ldm_lab.core.seeding import generator

REPAINT = np.array([[True, False, False], [True, True, False]])  # 3 wide, 2 high
SIZE = (3, 2)
EXPECTED = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]])


def grey(values):
    return Image.fromarray(np.asarray(values, dtype=np.uint8))


def with_alpha(color):
    """A colour where REPAINT says so, transparent elsewhere."""
    pixels = np.zeros((2, 3, 4), dtype=np.uint8)
    pixels[..., :3] = color
    pixels[..., 3] = REPAINT * 255
    return Image.fromarray(pixels, "RGBA")


def noise_bytes(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed))


class TestReading:
    @pytest.mark.parametrize(
        "picture",
        [
            REPAINT,
            REPAINT[None],
            REPAINT[..., None],
            torch.from_numpy(REPAINT),
            REPAINT.astype(np.uint8) * 255,
            REPAINT.astype(np.float64),
            torch.from_numpy(REPAINT).float()[None],
            torch.from_numpy(REPAINT).half(),
            grey(REPAINT * 255),
            grey(REPAINT * 255).convert("1"),
            grey(REPAINT * 255).convert("P"),
            grey(REPAINT * 255).convert("RGB"),
            with_alpha((255, 255, 255)),
            with_alpha((255, 255, 255)).convert("LA"),
        ],
        ids=lambda picture: str(getattr(picture, "mode", getattr(picture, "dtype", None))),
    )
    def test_every_kind_of_mask_means_the_same(self, picture):
        mask = to_mask(picture, size=SIZE)
        assert mask.dtype == torch.float32
        assert torch.equal(mask, EXPECTED)

    def test_the_threshold_is_half_brightness(self):
        assert to_mask(grey([[127, 128, 255]]), size=(3, 1)).tolist() == [[[0, 1, 1]]]
        assert to_mask(np.array([[0.49999, 0.5, 1.0]]), size=(3, 1)).tolist() == [[[0, 1, 1]]]

    def test_the_input_is_left_alone(self):
        values = REPAINT.astype(np.float32)
        to_mask(values, size=SIZE)[...] = 7
        assert (values == REPAINT).all()

    def test_empty_and_full_masks_are_accepted(self):
        for value in (0, 255):
            mask = to_mask(np.full((2, 3), value, dtype=np.uint8), size=SIZE)
            assert mask.unique().tolist() == [value / 255]

    @pytest.mark.parametrize("picture", [REPAINT, grey(REPAINT * 255), torch.from_numpy(REPAINT)])
    def test_another_size_is_refused_and_both_are_named(self, picture):
        with pytest.raises(ImageError, match="the mask has 3 x 2 pixels, the image 64 x 32; make them the same size"):
            to_mask(picture, size=(64, 32))

    @pytest.mark.parametrize(
        ("picture", "message"),
        [
            (REPAINT.astype(np.uint8), "no value above 1, where 255 means repaint"),
            (REPAINT.astype(np.int64), "values of type int64"),
            (REPAINT.astype(np.float32) * 255, "float values from 0 to 255"),
            (np.where(REPAINT, np.nan, 0.0), "float values from nan to nan"),
            (np.where(REPAINT, 1.0, -1.0), "float values from -1 to 1"),
            (np.zeros((2, 3, 3), dtype=np.uint8), r"shape \(2, 3, 3\)"),
            (np.zeros((4, 2, 3), dtype=bool), r"shape \(4, 2, 3\)"),
            (np.zeros(3, dtype=bool), r"shape \(3,\)"),
            (Image.new("I;16", SIZE), "mode I;16"),
            (Image.new("F", SIZE), "mode F"),
            (Image.new("CMYK", SIZE), "mode CMYK"),
        ],
    )
    def test_what_could_be_misread_is_refused(self, picture, message):
        with pytest.raises(ImageError, match=message):
            to_mask(picture, size=SIZE)


class TestMaskedPicture:
    image = torch.linspace(-1, 1, 18).reshape(3, 2, 3)

    def test_only_what_is_kept_is_visible(self):
        visible = MaskedPicture(self.image, EXPECTED).visible
        hole = torch.from_numpy(REPAINT)
        assert (visible[:, hole] == -1).all()
        assert torch.equal(visible[:, ~hole], self.image[:, ~hole])

    def test_what_lies_under_the_mask_is_not_looked_at(self):
        other = torch.where(EXPECTED > 0, torch.nan, self.image)
        assert torch.equal(MaskedPicture(other, EXPECTED).visible, MaskedPicture(self.image, EXPECTED).visible)

    def test_empty_and_full_masks_are_defined(self):
        assert torch.equal(MaskedPicture(self.image, torch.zeros(1, 2, 3)).visible, self.image)
        assert (MaskedPicture(self.image, torch.ones(1, 2, 3)).visible == -1).all()

    def test_shapes_and_values_are_checked(self):
        with pytest.raises(ImageError, match="the mask has 4 x 2 pixels, the image 3 x 2"):
            MaskedPicture(self.image, torch.zeros(1, 2, 4))
        with pytest.raises(ShapeError, match=r"a mask has shape \(2, 3\)"):
            MaskedPicture(self.image, torch.zeros(2, 3))
        with pytest.raises(ShapeError, match=r"has shape \(1, 2, 3\); expected \(3, height, width\)"):
            MaskedPicture(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
        with pytest.raises(ImageError, match="values besides 0"):
            MaskedPicture(self.image, EXPECTED * 0.5)


class TestLatentMask:
    def test_a_cell_is_repainted_if_any_of_its_pixels_is(self):
        mask = (torch.rand(2, 1, 8, 12, generator=generator(0)) > 0.9).float()
        small = latent_mask(mask, factor=4)
        assert small.shape == (2, 1, 2, 3)
        for b, i, j in np.ndindex(2, 2, 3):
            cell = mask[b, 0, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
            assert small[b, 0, i, j] == float(cell.any())

    @given(st.integers(0, 15), st.integers(0, 15), st.sampled_from([1, 2, 4, 8]))
    def test_no_hole_is_overlooked_however_thin(self, row, column, factor):
        mask = torch.zeros(1, 16, 16)
        mask[0, row, column] = 1
        small = latent_mask(mask, factor=factor)
        assert small.sum() == 1
        assert small[0, row // factor, column // factor] == 1

    def test_sides_must_be_multiples(self):
        with pytest.raises(ShapeError, match="12 x 8 pixels cannot be divided into cells of 8 x 8"):
            latent_mask(torch.zeros(1, 8, 12), factor=8)


class TestSoftEdge:
    def test_it_fades_in_by_equal_steps_inside_of_the_edge_alone(self):
        """And not at the border of the picture, behind which nothing is known."""
        mask = torch.tensor([0.0, 0, 0, 1, 1, 1, 1, 1]).expand(1, 1, 4, 8)
        rows = soften_edge(mask, width=3)[0, 0].tolist()
        assert rows == [[0, 0, 0, 0.25, 0.5, 0.75, 1, 1]] * 4

    @given(st.integers(0, 100), st.integers(0, 4))
    def test_the_share_is_the_depth_in_the_hole(self, seed, width):
        """By the distance to every known pixel; a kept pixel has depth 0."""
        hole = np.random.default_rng(seed).random((9, 11)) < 0.9
        known = np.argwhere(~hole)
        depth = [[min([np.abs(known - (i, j)).max(1).min(initial=99), 99]) for j in range(11)] for i in range(9)]
        expected = np.minimum(1.0, np.array(depth) / (width + 1))
        shares = soften_edge(torch.from_numpy(hole).float()[None, None], width=width)[0, 0].numpy()
        assert np.allclose(shares, expected, atol=1e-6)  # rounding of one division
        assert np.array_equal(shares == 0, ~hole)
        assert np.array_equal(shares == 1, expected == 1)

    def test_the_input_is_left_alone(self):
        mask = torch.ones(1, 1, 3, 3)
        mask[..., 0] = 0
        before = mask.clone()
        soften_edge(mask, width=2)
        assert torch.equal(mask, before)


class TestFilling:
    image = torch.rand(1, 3, 13, 10, generator=generator(3)) * 2 - 1
    hole = torch.zeros(1, 1, 13, 10)
    hole[..., 2:11, 3:] = 1

    def test_the_rest_is_as_it_was_and_what_was_hidden_leaves_no_trace(self):
        filled = fill_hole(self.image, self.hole)
        assert torch.equal(filled[..., self.hole[0, 0] == 0], self.image[..., self.hole[0, 0] == 0])
        other = torch.where(self.hole > 0, -self.image, self.image)
        assert torch.equal(fill_hole(other, self.hole), filled)
        assert not torch.equal(filled, self.image)

    def test_it_stays_between_the_colours_around(self):
        known = torch.where(self.hole > 0, torch.nan, self.image).flatten(2)
        low, high = known.nan_to_num(2.0).amin(2), known.nan_to_num(-2.0).amax(2)
        filled = fill_hole(self.image, self.hole).flatten(2)
        assert (filled >= low[..., None] - 1e-6).all()  # rounding of means
        assert (filled <= high[..., None] + 1e-6).all()

    def test_one_pixel_takes_the_mean_of_the_others_of_its_cell(self):
        image, hole = torch.tensor([[1.0, 0.5], [0.0, 9.0]]).expand(1, 3, 2, 2), torch.tensor([[0.0, 0], [0, 1]])
        assert fill_hole(image, hole[None, None])[0, :, 1, 1].tolist() == [0.5, 0.5, 0.5]

    def test_what_is_far_from_anything_known_takes_its_colour(self):
        image, hole = torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
        image[..., :2, :2], hole[..., :2, :2] = 0.25, 0
        assert (fill_hole(image, hole) == 0.25).all()

    def test_where_nothing_is_known_it_is_grey(self):
        assert (fill_hole(self.image, torch.ones_like(self.hole)) == 0).all()


class TestPastingBack:
    @given(st.integers(0, 1000))
    def test_known_pixels_are_the_inputs_and_the_others_the_models(self, seed):
        original, generated = noise_bytes(2, 5, 4, 3, seed=seed), noise_bytes(2, 5, 4, 3, seed=seed + 1)
        mask = (torch.rand(2, 1, 5, 4, generator=generator(seed)) > 0.5).float()
        pasted, _ = paste_back(generated, original, mask)
        hole = mask[:, 0] > 0
        assert torch.equal(pasted[~hole], original[~hole])
        assert torch.equal(pasted[hole], generated[hole])

    def test_what_lies_between_keeping_and_repainting_blends(self):
        original, generated = noise_bytes(1, 3, 4, 3), noise_bytes(1, 3, 4, 3, seed=1)
        shares = torch.tensor([0.0, 0.25, 0.75, 1.0]).expand(1, 1, 3, 4)
        pasted, (report,) = paste_back(generated, original, shares)
        before, after = (pixels.numpy().astype(float) for pixels in (original, generated))
        part = np.array([0.0, 0.25, 0.75, 1.0])[:, None]
        assert np.array_equal(pasted.numpy(), np.rint(part * after + (1 - part) * before))
        assert report.count == 3  # of known pixels; those that blend are none

    def test_the_report_counts_what_would_have_changed(self):
        original = torch.full((1, 2, 2, 3), 100, dtype=torch.uint8)
        generated = original.clone()
        generated[0, 0, 0] = 0  # under the mask: does not count
        generated[0, 0, 1, 2] = 106  # 6 up in one channel
        generated[0, 1, 1] = 97  # 3 down in all of them
        mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        _, (report,) = paste_back(generated, original, mask)
        assert report == KnownPixels(count=3, share_changed=2 / 3, mean_change=15 / 9, max_change=6)
        assert report.sentence == (
            "known pixels are the input's; without pasting them back 66.7% of 3 would have changed, by 1.67 of 255 "
            "levels on average and 6 at most"
        )

    def test_differences_of_bytes_do_not_wrap_around(self):
        white, black = torch.full((1, 1, 1, 3), 255, dtype=torch.uint8), torch.zeros(1, 1, 1, 3, dtype=torch.uint8)
        for generated, original in ((white, black), (black, white)):
            _, (report,) = paste_back(generated, original, torch.zeros(1, 1, 1, 1))
            assert (report.mean_change, report.max_change) == (255.0, 255)

    def test_empty_and_full_masks_are_defined(self):
        original, generated = noise_bytes(1, 4, 4, 3), noise_bytes(1, 4, 4, 3, seed=1)
        pasted, _ = paste_back(generated, original, torch.zeros(1, 1, 4, 4))
        assert torch.equal(pasted, original)
        pasted, (report,) = paste_back(generated, original, torch.ones(1, 1, 4, 4))
        assert torch.equal(pasted, generated)
        assert report.count == 0
        assert report.sentence == "the mask covers the whole image: there are no known pixels"

    def test_every_image_has_a_report_of_its_own(self):
        original = noise_bytes(1, 4, 4, 3).expand(2, -1, -1, -1)
        generated = original.clone()
        generated[1] = 255 - generated[1]
        _, (first, second) = paste_back(generated, original, torch.zeros(2, 1, 4, 4))
        assert (first.share_changed, second.share_changed) == (0.0, 1.0)

    def test_a_finished_picture_is_compared_where_it_was_to_be_kept(self):
        original = noise_bytes(2, 3, 3, seed=2)
        finished = original.clone()
        finished[0, 0] = 255 - finished[0, 0]  # REPAINT is true there
        finished[1, 2, 0] = 255 - finished[1, 2, 0]
        before, after = (Image.fromarray(pixels.numpy()) for pixels in (original, finished))
        gap = abs(int(finished[1, 2, 0]) - int(original[1, 2, 0]))
        assert known_pixels(after, before, EXPECTED) == KnownPixels(
            count=3, share_changed=1 / 3, mean_change=gap / 9, max_change=gap
        )
        assert known_pixels(before, before, EXPECTED).max_change == 0
        with pytest.raises(ImageError, match="the mask has 3 x 2 pixels, the image 2 x 2"):
            known_pixels(after.crop((0, 0, 2, 2)), before, EXPECTED)

    def test_other_types_and_shapes_are_refused(self):
        original, mask = noise_bytes(1, 4, 4, 3), torch.zeros(1, 1, 4, 4)
        with pytest.raises(ImageError, match=r"torch\.float32 and torch\.uint8"):
            paste_back(original.float(), original, mask)
        with pytest.raises(ShapeError, match=r"\(1, 4, 4, 3\), \(1, 4, 4, 3\), \(1, 1, 4, 2\); expected"):
            paste_back(original, original, mask[..., :2])


class TestCropAround:
    def crop(self, rows, columns, size=(64, 48), **asked):
        mask = torch.zeros(1, size[1], size[0])
        mask[0, slice(*rows), slice(*columns)] = 1
        return crop_around(mask, **({"padding": 2, "least": 16, "multiple": 8} | asked))

    def test_it_holds_hole_and_margin_and_its_sides_are_multiples(self):
        assert self.crop((20, 30), (30, 50)) == (28, 17, 52, 33)

    def test_it_has_at_least_the_size_of_the_model_s_images(self):
        left, top, right, bottom = self.crop((20, 22), (30, 31), least=32)
        assert (right - left, bottom - top) == (32, 32)
        assert left < 30 < right
        assert top < 20 < bottom

    def test_it_stays_within_the_picture(self):
        assert self.crop((0, 3), (61, 64)) == (48, 0, 64, 16)
        assert self.crop((0, 3), (0, 1), padding=100, size=(20, 18)) == (0, 0, 16, 16)

    def test_a_hole_that_no_part_holds_is_refused(self):
        with pytest.raises(ShapeError, match="the hole is 20 pixels long, and the longest part of a side of 20 that"):
            self.crop((0, 3), (0, 20), size=(20, 16))
