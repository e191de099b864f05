import json

import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.tasks import AddNoise, Adjust, Copy, Paint, Paste, PastedLatent, Recipe, Renormalise, SwapChannels
from ldm_lab.tasks.latent_edits import EDITS, EditedPlace, unnatural_spread

SHAPE = (2, 3, 4, 5)
SEEDS = (7, 8)
Z = sample_noise(SHAPE[1:], SEEDS)
REGION = torch.zeros(4, 5)
REGION[1:3, 2:4] = 1.0

ALL = (
    Paint.of(value=1.5),
    Adjust.of(gain=-2.0, shift=0.5, channels=[1]),
    AddNoise.of(amount=0.6, draw=3, region=REGION),
    Copy.of(rows=1, columns=-2, from_step=0),
    Paste.of(latent=Z.flip(0)),
    SwapChannels.of(channels=[0, 2], image=1),
    Renormalise.of(),
)


def place(before=Z, steps=()):
    return EditedPlace(before=before, seeds=SEEDS, steps=steps)


def applied(edit, z=Z, **where):
    return edit.apply(z, place(**where))


class TestWhere:
    @pytest.mark.parametrize("edit", [Paint, AddNoise])
    def test_only_the_chosen_numbers_change(self, edit):
        changed = applied(edit.of(region=REGION, channels=[0, 2], image=1)) != Z
        expected = torch.zeros(SHAPE, dtype=torch.bool)
        expected[1, [0, 2], 1:3, 2:4] = True
        assert torch.equal(changed, expected)

    def test_without_a_choice_all_change_and_the_input_stays(self):
        before = Z.clone()
        assert (applied(Paint(value=9.0)) == 9.0).all()
        assert torch.equal(Z, before)

    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (Paint.of(region=torch.ones(5, 4)), "the region has 4 x 5 cells, the latents 5 x 4"),
            (Paint.of(channels=[3]), "channels is 3, but there are 3, counted from 0"),
            (Paint.of(image=2), "image is 2, but there are 2, counted from 0"),
            (SwapChannels.of(channels=[0, 9]), "channels is 9, but there are 3"),
            (Copy.of(from_step=1), "from_step is 1; the run has the steps 0 to 0"),
            (Paste.of(latent=torch.ones(3, 4, 4)), r"has shape \(3, 4, 4\), the run's \(2, 3, 4, 5\)"),
        ],
    )
    def test_what_does_not_fit_is_one_sentence(self, edit, message):
        with pytest.raises(RequestError, match=message):
            applied(edit, steps=[Z])


class TestWhat:
    def test_adjust(self):
        torch.testing.assert_close(applied(Adjust(gain=-2.0, shift=0.5)), 0.5 - 2.0 * Z)

    def test_noise_keeps_the_variance_and_is_a_function_of_seed_and_draw(self):
        z, seeds = sample_noise((4, 64, 64), SEEDS), EditedPlace(before=Z, seeds=SEEDS)
        for amount in (0.3, 0.8, 1.0):
            after = AddNoise(amount=amount).apply(z, seeds)
            assert abs(after.var().item() - 1.0) < 0.02  # 32,768 numbers: a standard error of 0.008
            covariance = (after * z).mean().item()
            assert abs(covariance - (1 - amount**2) ** 0.5) < 0.02
        alone = AddNoise(amount=0.8).apply(z[1:], EditedPlace(before=Z, seeds=SEEDS[1:]))
        assert torch.equal(alone[0], AddNoise(amount=0.8).apply(z, seeds)[1])
        assert not torch.equal(AddNoise(draw=1).apply(z, seeds), AddNoise(draw=2).apply(z, seeds))

    def test_copy_moves_cells(self):
        copied = applied(Copy(rows=1, columns=2))
        assert torch.equal(copied[:, :, 1:, 2:], Z[:, :, :-1, :-2])
        assert torch.equal(copied[:, :, 0, 0], Z[:, :, -1, -2])

    def test_copy_from_another_step(self):
        other = Z.flip(1)
        copied = applied(Copy.of(from_step=1, region=REGION), steps=[Z, other])
        assert torch.equal(copied[..., 1:3, 2:4], other[..., 1:3, 2:4])
        assert torch.equal(copied[..., 0, :], Z[..., 0, :])

    def test_a_rounded_step_is_not_copied_from(self):
        with pytest.raises(RequestError, match="from_step is 0, which was kept in 16 bits"):
            applied(Copy(from_step=0), steps=[Z.half()])

    def test_paste_of_one_latent_serves_every_image(self):
        assert torch.equal(applied(Paste.of(latent=Z[1])), Z[[1, 1]])
        assert torch.equal(applied(Paste.of(latent=Z[[1, 0]])), Z[[1, 0]])

    def test_swap(self):
        assert torch.equal(applied(SwapChannels.of(channels=[0, 2])), Z[:, [2, 1, 0]])
        with pytest.raises(RequestError, match=r"channels is \(1, 1\); name the two that change places"):
            SwapChannels.of(channels=[1, 1])

    def test_renormalise_brings_the_moments_back(self):
        after = applied(Renormalise(), z=3.0 * Z.roll(1, 3) + 2.0)
        torch.testing.assert_close(after.mean((2, 3)), Z.mean((2, 3)))
        torch.testing.assert_close(after.std((2, 3)), Z.std((2, 3)))
        torch.testing.assert_close(after, Z.roll(1, 3))

    def test_renormalise_of_what_is_flat_is_its_mean(self):
        flat = applied(Renormalise(), z=torch.full_like(Z, 5.0))
        torch.testing.assert_close(flat, Z.mean((2, 3), keepdim=True).expand_as(Z))

    def test_a_large_spread_is_noted_and_a_natural_one_is_not(self):
        after = torch.stack([Z[0] * 1.4, Z[1] * 1.6])
        (note,) = unnatural_spread(Z, after)
        assert note.startswith("image 1: the edit made the standard deviation of its latent 1.60 times as large")
        assert len(unnatural_spread(Z, Z * 0.6)) == 2


class TestRecipe:
    def test_edits_are_applied_in_order(self):
        recipe = Recipe((Adjust(shift=1.0), Adjust(gain=2.0), Renormalise.of(image=1)))
        after = recipe.apply(place())
        torch.testing.assert_close(after[0], 2.0 * (Z[0] + 1.0))
        torch.testing.assert_close(after[1], Z[1])

    def test_none_changes_nothing(self):
        assert torch.equal(Recipe().apply(place()), Z)
        assert not Recipe()
        assert Recipe(ALL)

    def test_it_survives_json_as_an_equal_value(self):
        assert {edit.kind for edit in ALL} == set(EDITS)
        again = Recipe.from_json(json.loads(json.dumps(Recipe(ALL).to_json())))
        assert again == Recipe(ALL)
        assert torch.equal(again.apply(place(steps=[Z])), Recipe(ALL).apply(place(steps=[Z])))

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("paint", "a recipe is a list of edits"),
            ([3], "a recipe is a list of edits"),
            ([{"kind": "os.system"}], "an edit is of kind 'os.system'; known are paint, adjust, noise"),
            ([{"kind": ["x"]}], r"an edit is of kind \['x'\]"),
            ([{"kind": "paint", "value": 1e9}], "the edit 'paint' cannot be read: value is 1000000000.0"),
            ([{"kind": "paint", "colour": 1}], "Paint has no field colour"),
            ([{"kind": "paint", "region": "/etc/passwd"}], "the edit 'paint' cannot be read: a picture in a record"),
            ([{"kind": "paste"}], "the edit 'paste' cannot be read: Paste needs a value for latent"),
            (
                [{"kind": "paste", "latent": {"shape": [2], "numbers": "AAAA"}}],
                "a pasted latent in a record is damaged",
            ),
            (
                [{"kind": "paste", "latent": {"shape": [10**9], "numbers": ""}}],
                "a pasted latent in a record is damaged",
            ),
        ],
    )
    def test_a_hostile_recipe_is_one_sentence(self, value, message):
        with pytest.raises(RequestError, match=message):
            Recipe.from_json(value)

    def test_a_latent_too_large_for_a_record_is_refused(self):
        with pytest.raises(RequestError, match="has 131072 numbers, at most 100000 are accepted"):
            PastedLatent.of(torch.zeros(2, 4, 128, 128))

    def test_values_are_checked(self):
        with pytest.raises(RequestError, match="amount is 2; it must be from 0.0 to 1.0"):
            AddNoise.of(amount=2)
        with pytest.raises(RequestError, match="Paint has no field colour"):
            Paint.of(colour=1)
