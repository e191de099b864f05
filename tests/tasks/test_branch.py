import dataclasses

import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.sampling import SAMPLERS
from ldm_lab.tasks import (
    AddNoise,
    Adjust,
    Branch,
    ClassToImageSettings,
    ImageToImageSettings,
    InpaintingSettings,
    InversionSettings,
    Origin,
    Paint,
    Pipeline,
    Recipe,
    TextToImageSettings,
    UnconditionalSettings,
    prepare,
)

NAMES = ("z_t", "z_0_pred", "noise_pred", "z_next", "output")
EDIT = Recipe((Paint.of(value=2.0, region=torch.eye(8)),))


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return Pipeline(tiny_model, origin=Origin(name="tiny"))


@pytest.fixture(scope="module")
def run(pipeline):
    return pipeline.carry_out(ask())


def ask(**values):
    asked = {"prompt": "a large red circle", "num_steps": 6, "sampler": "ddim", "seeds": [1, 2], "guidance_scale": 3.0}
    return TextToImageSettings.of(**(asked | values))


def leave(pipeline, parent, step, recipe=Recipe(), **changes):  # noqa: B008 (frozen)
    settings = dataclasses.replace(parent.settings, **changes)
    return pipeline.carry_out(settings, branch=Branch(parent=parent, step=step, recipe=recipe))


def assert_same(run, other):
    assert [step.t for step in run.trajectory] == [step.t for step in other.trajectory]
    for one, two in zip(run.trajectory, other.trajectory, strict=True):
        for name in NAMES:
            assert torch.equal(getattr(one, name), getattr(two, name)), (one.index, name)
    assert [image.tobytes() for image in run.images] == [image.tobytes() for image in other.images]


class Counting:
    """Counts how often a model's network is asked."""

    def __init__(self, model, monkeypatch):
        self.count = 0
        genuine = model.unet._walk
        monkeypatch.setattr(model.unet, "_walk", lambda *args: self.tick() or genuine(*args))

    def tick(self):
        self.count += 1


class TestReplay:
    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_without_an_edit_every_sampler_ends_where_it_ended(self, pipeline, sampler):
        run = pipeline.carry_out(ask(sampler=sampler))
        for step in (0, 1, len(run.trajectory) - 2):
            assert_same(leave(pipeline, run, step), run)

    @pytest.mark.parametrize("prediction", ["eps", "z_0", "v"])
    @pytest.mark.parametrize("sampler", ["dpm++2m", "dpm++2m-sde"])
    def test_whatever_the_network_predicts(self, make_tiny_model, prediction, sampler):
        pipeline = Pipeline(make_tiny_model(prediction=prediction))
        run = pipeline.carry_out(ask(sampler=sampler))
        assert_same(leave(pipeline, run, 3), run)

    @pytest.mark.parametrize("prediction", ["eps", "v"])
    def test_only_the_steps_from_there_on_ask_the_network(self, make_tiny_model, monkeypatch, prediction):
        model = make_tiny_model(prediction=prediction)
        pipeline, counting = Pipeline(model), Counting(model, monkeypatch)
        run = pipeline.carry_out(ask(num_steps=10))
        assert counting.count == 10
        leave(pipeline, run, 7)
        assert counting.count == 13
        leave(pipeline, run, 8, EDIT)
        assert counting.count == 15

    def test_a_trajectory_in_16_bits_is_walked_again_and_gives_the_same(self, make_tiny_model, monkeypatch):
        model = make_tiny_model()
        pipeline, counting = Pipeline(model), Counting(model, monkeypatch)
        exact = pipeline.carry_out(ask(num_steps=10))
        run = prepare(model, ask(num_steps=10)).carry_out(trajectory_bytes=40_000)
        assert run.trajectory[0].z_t.dtype == torch.half
        assert run.outcome.stride == 1
        counting.count = 0
        child = leave(pipeline, run, 7)
        assert counting.count == 10
        assert [image.tobytes() for image in child.images] == [image.tobytes() for image in exact.images]
        edited, expected = (leave(pipeline, parent, 7, EDIT) for parent in (run, exact))
        assert torch.equal(edited.trajectory[-1].z_next, expected.trajectory[-1].z_next)

    @pytest.mark.parametrize("strength", [0.5, 1.0])
    def test_of_image_to_image(self, pipeline, picture, strength):
        settings = ImageToImageSettings.of(image=picture, prompt="a star", strength=strength, num_steps=8)
        run = pipeline.carry_out(settings)
        assert len(run.trajectory) == 8 * strength
        assert_same(leave(pipeline, run, 2), run)

    @pytest.mark.parametrize("num_resamplings", [1, 2])
    def test_of_inpainting(self, pipeline, picture, num_resamplings):
        mask = torch.zeros(16, 16, dtype=torch.bool)
        mask[:8] = True
        asked = {"num_resamplings": num_resamplings, "jump_length": 2, "sampler": "ddpm", "num_steps": 6}
        run = pipeline.carry_out(InpaintingSettings.of(image=picture, mask=mask, prompt="a star", **asked))
        assert_same(leave(pipeline, run, 4), run)

    def test_of_an_unconditional_model_and_of_classes(self, unconditional_model, class_model):
        for model, settings in (
            (unconditional_model, UnconditionalSettings.of(num_steps=5)),
            (class_model, ClassToImageSettings.of(label="star", num_steps=5)),
        ):
            run = Pipeline(model).carry_out(settings)
            assert_same(leave(Pipeline(model), run, 2), run)


class TestChanges:
    @pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "euler-a", "unipc"])
    def test_another_prompt_from_there_on_is_what_later_prompts_do(self, exact_model, sampler):
        pipeline = Pipeline(exact_model, origin=Origin(name="exact"))
        run = pipeline.carry_out(ask(sampler=sampler))
        child = leave(pipeline, run, 2, prompt="a small blue star")
        expected = pipeline.carry_out(ask(sampler=sampler, later_prompts=((2, "a small blue star"),)))
        # the later prompt of a schedule is bound in one batch with the first, so that sums come in another order
        for one, two in zip(child.trajectory, expected.trajectory, strict=True):
            torch.testing.assert_close(one.z_next, two.z_next, atol=1e-9, rtol=1e-9)
        assert not torch.allclose(child.trajectory[-1].z_next, run.trajectory[-1].z_next, atol=1e-2)

    def test_guidance_acts_from_there_on(self, pipeline):
        run = pipeline.carry_out(ask(guidance_scale=1.0))
        child = leave(pipeline, run, 3, guidance_scale=6.0)
        assert child.trajectory[:3] == run.trajectory[:3]
        assert torch.equal(child.trajectory[3].z_t, run.trajectory[3].z_t)
        assert not torch.equal(child.trajectory[3].noise_pred, run.trajectory[3].noise_pred)

    def test_another_sampler_begins_at_the_same_latent_and_t(self, pipeline):
        run = pipeline.carry_out(ask(sampler="ddim"))
        child = leave(pipeline, run, 3, sampler="heun")
        step = child.trajectory[3]
        assert step.t == run.trajectory[3].t
        torch.testing.assert_close(step.z_t, run.trajectory[3].z_t, atol=1e-6, rtol=1e-6)  # Heun's are scaled
        assert len(child.trajectory) == 3 + 5  # two evaluations a step, one in the last

    def test_a_branch_of_another_sampler_is_left_exactly_too(self, pipeline):
        run = pipeline.carry_out(ask(sampler="ddim"))
        child = leave(pipeline, run, 2, sampler="dpm++2m")
        for step in (2, 4):
            assert_same(leave(pipeline, child, step), child)
        before = leave(pipeline, child, 1, sampler="ddim")
        assert_same(before, run)

    def test_what_was_predicted_before_the_sampler_changed_does_not_count(self, pipeline):
        """Heun's positions 0 to 7 and DDIM's 4 and 5: where DDIM's were rounded, Heun's must not take their place."""
        run = pipeline.carry_out(ask(sampler="heun"))
        branch = Branch(parent=run, step=8)
        settings = dataclasses.replace(run.settings, sampler="ddim")
        exact = pipeline.carry_out(settings, branch=branch)
        rounded = pipeline.prepare(settings, branch=branch).carry_out(trajectory_bytes=6000)
        assert [step.index for step in rounded.trajectory[8:]] == [4, 5]
        assert rounded.trajectory[8].z_t.dtype == torch.half
        again = leave(pipeline, rounded, 9)
        assert torch.equal(again.trajectory[9].z_next, exact.trajectory[9].z_next)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"width": 32}, "a branch cannot change width from 16 to 32; it can change prompt, negative_prompt"),
            ({"seeds": (3, 4)}, r"cannot change seeds from \(1, 2\) to \(3, 4\)"),
            ({"num_steps": 7}, "cannot change num_steps from 6 to 7"),
        ],
    )
    def test_what_a_latent_cannot_follow_is_refused(self, pipeline, change, message, run):
        with pytest.raises(RequestError, match=message):
            leave(pipeline, run, 2, **change)

    def test_another_task_is_refused(self, pipeline, picture, run):
        with pytest.raises(RequestError, match="the run is of the task text_to_image, and a branch of it cannot be of"):
            pipeline.carry_out(ImageToImageSettings.of(image=picture), branch=Branch(parent=run, step=1))

    def test_another_model_is_refused(self, pipeline, tiny_model):
        run = Pipeline(tiny_model, origin=Origin(name="first", digest="ab" * 32)).carry_out(ask())
        with pytest.raises(
            RequestError, match="the run was made by 'first' with digest abababababab, and this is 'tin"
        ):
            leave(pipeline, run, 2)


class TestEdits:
    def test_the_branch_begins_with_the_edited_latent(self, pipeline, run):
        child = leave(pipeline, run, 2, EDIT)
        before, after = run.trajectory[2].z_t, child.trajectory[2].z_t
        diagonal = torch.eye(8, dtype=torch.bool)
        assert (after[..., diagonal] == 2.0).all()
        assert torch.equal(after[..., ~diagonal], before[..., ~diagonal])
        assert child.trajectory[:2] == run.trajectory[:2]
        assert child.branch.parent is run
        assert (child.branch.step, child.branch.recipe) == (2, EDIT)
        assert child.images[0].tobytes() != run.images[0].tobytes()

    @pytest.mark.parametrize("sampler", ["ddpm", "plms", "dpm++2m", "unipc", "euler-a", "heun", "lms"])
    def test_every_sampler_begins_anew_with_the_edit(self, pipeline, tiny_model, sampler):
        """UniPC's corrector, PLMS and Heun would go on from what they remember, and lose a part of it."""
        run = pipeline.carry_out(ask(sampler=sampler, num_steps=5))
        place = len(run.trajectory) - 3
        child = leave(pipeline, run, place, EDIT)
        walk, t = prepare(tiny_model, run.settings).plan.walk, run.trajectory[place].t
        begin = max(step.index for step in run.trajectory if step.t == t)
        edited = run.trajectory[place].z_t.clone()
        edited[..., torch.eye(8, dtype=torch.bool)] = 2.0
        expected = list(dataclasses.replace(walk, start=(edited, begin)).steps())
        for one, other in zip(child.trajectory[place:], expected, strict=True):
            assert (one.index, one.t) == (other.index, other.t)
            assert torch.equal(one.z_next, other.z_next)

    def test_the_same_recipe_gives_the_same_bits(self, pipeline):
        run = pipeline.carry_out(ask(sampler="euler-a"))
        recipe = Recipe((AddNoise(amount=0.5),))
        assert_same(leave(pipeline, run, 2, recipe), leave(pipeline, run, 2, recipe))

    @pytest.mark.parametrize("sampler", ["dpm++2m", "euler-a"])
    def test_branches_of_branches_are_replayed(self, pipeline, sampler):
        run = pipeline.carry_out(ask(sampler=sampler, num_steps=8))
        child = leave(pipeline, run, 2, EDIT, prompt="a small blue star")
        grandchild = leave(pipeline, child, 5, Recipe((AddNoise(amount=0.2),)))
        for step in (5, 6):
            assert_same(leave(pipeline, grandchild, step), grandchild)
        assert_same(leave(pipeline, child, 2), child)  # the edit is the child's, and done
        assert_same(leave(pipeline, child, 4), child)
        assert_same(leave(pipeline, grandchild, 1, prompt=run.settings.prompt), run)  # before both of them left

    def test_an_unnatural_edit_is_noted(self, pipeline, run):
        (note,) = leave(pipeline, run, 2, Recipe((Adjust(gain=2.0, image=1),))).notes
        assert note.startswith("image 1: the edit made the standard deviation of its latent 2.00 times as large")
        assert not leave(pipeline, run, 2, Recipe((Adjust(gain=1.4),))).notes

    def test_a_walk_that_goes_back_cannot_be_begun_in_its_midst(self, pipeline, picture):
        mask = torch.ones(16, 16, dtype=torch.bool)
        asked = {"num_resamplings": 2, "jump_length": 2, "sampler": "ddpm", "num_steps": 6}
        run = pipeline.carry_out(InpaintingSettings.of(image=picture, mask=mask, prompt="a star", **asked))
        with pytest.raises(RequestError, match="goes back on its way"):
            leave(pipeline, run, 4, EDIT)

    def test_tasks_of_several_ways_are_refused(self, pipeline, picture):
        run = pipeline.carry_out(InversionSettings.of(image=picture, num_steps=2, num_iterations=1))
        with pytest.raises(RequestError, match="a run of inversion has several ways or none, and cannot be left"):
            leave(pipeline, run, 1)


class TestBranch:
    @pytest.mark.parametrize("step", [-1, 6, 1.0, True])
    def test_the_step_must_be_there(self, pipeline, step, run):
        with pytest.raises(RequestError, match=f"step is {step}; the run was left with 6 steps, 0 to 5"):
            Branch(parent=run, step=step)

    def test_a_trajectory_with_gaps_cannot_be_left(self, tiny_model):
        run = prepare(tiny_model, ask(num_steps=12)).carry_out(trajectory_bytes=10_000)
        with pytest.raises(RequestError, match="only one step of 4 of the run was kept"):
            Branch(parent=run, step=1)

    def test_a_partial_run_is_left_where_it_got_to(self, pipeline):
        whole = pipeline.carry_out(ask())
        part = pipeline.carry_out(ask(), on_step=lambda step: step.index < 3)
        assert part.partial
        child = leave(pipeline, part, 3)
        assert_same(child, whole)
        assert not child.partial

    def test_a_branch_can_be_partial(self, pipeline, run):
        branch = Branch(parent=run, step=2)
        part = pipeline.carry_out(run.settings, branch=branch, on_step=lambda step: step.index < 3)
        assert part.outcome.stopped_after == len(part.trajectory) == 4
