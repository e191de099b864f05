import dataclasses

import pytest
import torch

from ldm_lab.conditioning import ClassLabelConfig
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.model import NonFiniteImageError
from ldm_lab.sampling import Guidance, make_scheduler, sample_steps
from ldm_lab.tasks import TextToImageSettings, carry_out, stream

PROMPT = "a large red circle"


def ask(**values):
    return TextToImageSettings.of(**({"prompt": PROMPT, "num_steps": 3, "sampler": "ddim"} | values))


def final_latent(model, **values):
    return list(stream(model, ask(**values)))[-1].z_next


def make(model, **values):
    return carry_out(model, ask(**values))


class TestStream:
    def test_it_is_the_walk_with_guidance_away_from_the_negative_prompt(self, tiny_model):
        seeds = (3, 4)
        with torch.no_grad():
            cond, negative = (tiny_model.condition([y] * 2) for y in (PROMPT, "blue"))
        scheduler = make_scheduler("ddim", tiny_model.config.schedule, "eps")
        guidance = Guidance(scale=3.0, rescale=0.5, interval=(0.2, 1.0), negative=negative)
        expected = list(
            sample_steps(tiny_model, cond, scheduler, num_steps=3, seeds=seeds, shape=(3, 8, 8), guidance=guidance)
        )
        found = list(
            stream(
                tiny_model,
                ask(
                    seeds=seeds,
                    guidance_scale=3.0,
                    guidance_rescale=0.5,
                    guidance_interval=(0.2, 1.0),
                    negative_prompt="blue",
                ),
            )
        )
        assert len(found) == len(expected) == 3
        torch.testing.assert_close(found[-1].z_next, expected[-1].z_next, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize(
        "change",
        [
            {"prompt": "a blue star"},
            {"negative_prompt": "blue"},
            {"seeds": 9},
            {"num_steps": 4},
            {"guidance_scale": 7.0},
            {"guidance_rescale": 0.5},
            {"guidance_interval": (0.5, 1.0)},
            {"guidance_curve": ((0.0, 1.0), (1.0, 6.0))},
            {"guidance_box": (0.0, 0.0, 0.5, 1.0)},
            {"sampler": "euler"},
        ],
    )
    def test_every_setting_has_an_effect(self, tiny_model, change):
        assert not torch.allclose(final_latent(tiny_model, **change), final_latent(tiny_model), atol=1e-3)

    def test_the_empty_negative_prompt_is_the_null_condition(self, exact_model):
        assert exact_model.conditioner.null == ""
        unguided = final_latent(exact_model, prompt="", guidance_scale=1.0)
        guided = final_latent(exact_model, prompt="", guidance_scale=7.0)
        torch.testing.assert_close(guided, unguided, atol=1e-9, rtol=0)

    def test_it_starts_from_the_noise_of_the_seeds(self, tiny_model):
        first = next(stream(tiny_model, ask(seeds=[5, 6])))
        torch.testing.assert_close(first.z_t, sample_noise((3, 8, 8), [5, 6]))

    def test_sizes_follow_the_request(self, tiny_model):
        first = next(stream(tiny_model, ask(width=32, height=24)))
        assert first.z_t.shape == (1, 3, 12, 16)

    def test_mistakes_are_found_before_the_first_step(self, tiny_model):
        with pytest.raises(RequestError, match="width is 30; it must be a multiple of 4, the nearest is 28 or 32"):
            stream(tiny_model, ask(width=30))

    def test_gradients_stay_on_for_the_caller(self, tiny_model):
        for step in stream(tiny_model, ask()):
            assert torch.is_grad_enabled()
            assert not step.z_next.requires_grad

    @pytest.mark.parametrize("conditioner", [None, ClassLabelConfig(num_classes=3, width=8)])
    def test_a_model_that_reads_no_text_says_so(self, make_tiny_model, conditioner):
        with pytest.raises(
            RequestError, match=r"text to image needs a model that is conditioned on text \(shapes-text\); this one is"
        ):
            stream(make_tiny_model(conditioner=conditioner), ask())


class TestTextToImage:
    def test_one_image_a_seed_of_the_model_s_size(self, tiny_model):
        run = make(tiny_model, seeds=[1, 2, 3])
        assert [image.size for image in run.images] == [(16, 16)] * 3
        assert len(run.trajectory) == 3
        assert not run.partial
        assert len({image.tobytes() for image in run.images}) == 3

    def test_the_same_settings_give_the_same_bits(self, tiny_model):
        first, second = (make(tiny_model, seeds=[1, 2], sampler="dpm++2m-sde") for _ in range(2))
        assert torch.equal(first.trajectory[-1].z_next, second.trajectory[-1].z_next)
        assert [image.tobytes() for image in first.images] == [image.tobytes() for image in second.images]

    @pytest.mark.parametrize("sampler", ["ddim", "euler-a", "dpm++2m"])
    def test_an_image_depends_on_its_own_seed_alone(self, exact_model, sampler):
        together = make(exact_model, seeds=[7, 8, 9], sampler=sampler).trajectory[-1].z_next
        alone = make(exact_model, seeds=[8], sampler=sampler).trajectory[-1].z_next
        torch.testing.assert_close(together[1:2], alone, atol=1e-9, rtol=0)

    def test_a_random_seed_is_recorded_and_repeats_the_picture(self, tiny_model):
        run = make(tiny_model, seeds=[-1])
        again = make(tiny_model, seeds=run.settings.seeds)
        assert run.settings.seeds[0] >= 0
        assert again.images[0].tobytes() == run.images[0].tobytes()

    def test_notes_say_what_the_model_will_not_see(self, tiny_model):
        notes = make(tiny_model, prompt="a red\x00 zebra " + "star " * 9, negative_prompt="yak").notes
        assert "1 control character removed from the prompt" in notes
        assert any("never saw 'zebra'" in note for note in notes)
        assert any("the prompt has 12 tokens, the encoder reads 6: dropped 'star" in note for note in notes)
        assert any(note.startswith("negative prompt: the model never saw 'yak'") for note in notes)
        assert make(tiny_model).notes == ()

    def test_the_empty_prompt_is_unconditional_and_says_so(self, tiny_model):
        assert make(tiny_model, prompt=" \t").notes == ("the prompt is empty: the images are unconditional",)

    def test_stopping_gives_a_partial_run_of_the_last_prediction(self, tiny_model):
        run = carry_out(tiny_model, ask(num_steps=5), on_step=lambda step: step.index < 1)
        assert run.partial
        assert run.outcome.stopped_after == len(run.trajectory) == 2
        prediction = run.trajectory[-1].z_0_pred
        assert run.images[0].tobytes() == run.outcome.decode(prediction)[0].tobytes()

    def test_a_callback_that_returns_nothing_sees_every_step_and_changes_nothing(self, tiny_model):
        seen = []
        run = carry_out(tiny_model, ask(), on_step=seen.append)
        assert [step.index for step in seen] == [0, 1, 2]
        assert not run.partial
        assert run.images[0].tobytes() == make(tiny_model).images[0].tobytes()

    def test_defaults_fill_what_was_left_open(self, tiny_model):
        run = carry_out(
            tiny_model,
            TextToImageSettings.of(prompt=PROMPT),
            defaults=TextToImageSettings.of(prompt="", num_steps=2, sampler="euler"),
        )
        assert (run.settings.num_steps, run.settings.sampler, run.settings.width) == (2, "euler", 16)

    def test_no_picture_is_made_of_nan(self, make_tiny_model):
        model = make_tiny_model()
        model.autoencoder.decoder.conv_out.bias.data[0] = torch.nan
        with pytest.raises(NonFiniteImageError, match="not finite"):
            make(model)

    def test_many_images_are_decoded_in_parts(self, tiny_model):
        run = make(tiny_model, seeds=range(9), num_steps=1, guidance_scale=1.0)
        assert len(run.images) == 9
        assert run.images[8].tobytes() == run.outcome.decode(run.trajectory[-1].z_next[8:])[0].tobytes()

    def test_a_step_count_beyond_the_schedule_is_refused(self, make_tiny_model):
        model = make_tiny_model()
        schedule = dataclasses.replace(model.config.schedule, num_train_steps=10)
        short = type(model)(
            dataclasses.replace(model.config, schedule=schedule),
            autoencoder=model.autoencoder,
            unet=model.unet,
            conditioner=model.conditioner,
        )
        with pytest.raises(LdmLabError, match="num_steps is 11; it must be an integer from 1 to 10"):
            make(short, num_steps=11)
