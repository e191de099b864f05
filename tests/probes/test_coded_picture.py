"""Codes put into first stages and pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_pil, to_tensor
from ldm_lab.probes import code_picture, decode_codes, image_codes, quantised, survey_codebook, swap_code

PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def autoencoder(make_tiny_model):
    return make_tiny_model(bottleneck=VQConfig(num_codes=6)).autoencoder


@pytest.fixture(scope="module")
def continuous(make_tiny_model):
    return make_tiny_model().autoencoder


@pytest.fixture(scope="module")
def x():
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


class TestPicture:
    def test_its_image_is_the_reconstruction(self, autoencoder):
        coded = code_picture(autoencoder, PICTURE)
        assert torch.equal(coded.codes, image_codes(autoencoder, to_tensor(PICTURE))[0])
        with torch.no_grad():
            (expected,) = to_pil(autoencoder(to_tensor(PICTURE)))
        assert coded.image.tobytes() == expected.tobytes()

    def test_a_code_is_swapped_at_one_place(self, autoencoder):
        coded = code_picture(autoencoder, PICTURE)
        new = (int(coded.codes[2, 5]) + 1) % 6
        swapped = swap_code(autoencoder, coded, new, place=(2, 5))
        assert (swapped.codes != coded.codes).nonzero().tolist() == [[2, 5]]
        assert swapped.code_at(2, 5) == new
        assert (swapped.count_changes(coded), coded.count_changes(coded)) == (1, 0)
        assert swapped.image.tobytes() != coded.image.tobytes()

    def test_or_everywhere(self, autoencoder):
        coded = code_picture(autoencoder, PICTURE)
        old = int(coded.codes.flatten().mode().values)
        swapped = swap_code(autoencoder, coded, (old + 1) % 6, old=old)
        assert torch.equal(swapped.codes != coded.codes, coded.codes == old)

    @pytest.mark.parametrize(
        ("asked", "sentence"),
        [
            ({"new": 1}, "old is None and place None; give one of the two"),
            ({"new": 1, "old": 2, "place": (0, 0)}, r"old is 2 and place \(0, 0\)"),
            ({"new": 1, "place": (8, 0)}, r"place is \(8, 0\); the picture has 8 rows and 8 columns"),
            ({"new": 6, "place": (0, 0)}, "there is no code 6"),
        ],
    )
    def test_what_cannot_be_is_refused(self, autoencoder, asked, sentence):
        with pytest.raises(RequestError, match=sentence):
            swap_code(autoencoder, code_picture(autoencoder, PICTURE), **asked)


class TestSurvey:
    def test_a_code_in_context_is_the_mean_of_what_is_seen_there(self, autoencoder, x):
        survey = survey_codebook(autoencoder, x)
        codes = image_codes(autoencoder, x)
        made = decode_codes(autoencoder, codes)
        code = int(codes.flatten().mode().values)
        patches = [
            made[image, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            for image, row, column in (codes == code).nonzero().tolist()
        ]
        (expected,) = to_pil(torch.stack(patches).mean(0)[None])
        assert abs(np.asarray(survey.in_context[code], int) - np.asarray(expected, int)).max() <= 1  # order of sums
        assert survey.usage.counts[code] == len(patches)

    def test_a_code_alone_is_decoded_without_neighbours(self, autoencoder, x):
        survey = survey_codebook(autoencoder, x)
        (expected,) = to_pil(decode_codes(autoencoder, torch.tensor([[[4]]])))
        assert survey.alone[4].tobytes() == expected.tobytes()
        for code in survey.usage.dead():
            assert survey.in_context[code].tobytes() == survey.alone[code].tobytes()


class TestQuantised:
    @torch.no_grad()
    def test_its_latents_are_the_means_and_its_decoder_the_same(self, continuous, x):
        made = quantised(continuous, x, num_codes=8)
        z_raw = continuous.encode(x).mode()
        torch.testing.assert_close(made.encode(x).mode(), z_raw, atol=1e-4, rtol=1e-4)  # two convolutions made one
        torch.testing.assert_close(made.decode_bottlenecked(z_raw), continuous.decode(z_raw))

    @torch.no_grad()
    def test_codes_are_the_means_of_what_is_nearest_to_them(self, continuous, x):
        """Nothing is left to gain, if the rounds were enough; on so few numbers they are."""
        made = quantised(continuous, x, num_codes=4)
        tokens, codes = made.encode(x).mode().movedim(1, -1).flatten(0, 2), image_codes(made, x).flatten()
        means = torch.stack([tokens[codes == code].mean(0) for code in range(4)])
        gap = (means - made.quantize.embedding.weight).norm(dim=1)
        assert gap.max() < 0.05 * tokens.std()

    @torch.no_grad()
    def test_more_codes_lose_less(self, continuous, x):
        errors = []
        for num_codes in (2, 8, 64):
            made = quantised(continuous, x, num_codes=num_codes)
            z_raw = made.encode(x).mode()
            errors.append((made.quantize.to_decoder(z_raw) - z_raw).square().mean().item())
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.25 * errors[0]

    def test_the_first_stage_is_not_changed_and_the_seed_decides(self, continuous, x):
        before = {name: tensor.clone() for name, tensor in continuous.state_dict().items()}
        first, again, other = (quantised(continuous, x, num_codes=8, seed=seed) for seed in (1, 1, 2))
        assert all(torch.equal(tensor, before[name]) for name, tensor in continuous.state_dict().items())
        assert torch.equal(first.quantize.embedding.weight, again.quantize.embedding.weight)
        assert not torch.equal(first.quantize.embedding.weight, other.quantize.embedding.weight)

    def test_what_cannot_be_is_refused(self, autoencoder, continuous, x):
        with pytest.raises(RequestError, match="has a codebook already"):
            quantised(autoencoder, x, num_codes=8)
        with pytest.raises(RequestError, match="num_codes is 300, but the images have 256 places"):
            quantised(continuous, x, num_codes=300)
