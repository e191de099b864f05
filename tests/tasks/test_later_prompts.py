import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return Pipeline(tiny_model, defaults={"num_steps": 5, "sampler": "ddim"})


def final(run):
    return run.trajectory[-1].z_next


def test_until_the_sentence_changes_the_walk_is_the_same(pipeline):
    plain = pipeline.text_to_image("a red circle", seeds=[1, 2])
    changed = pipeline.text_to_image("a red circle", seeds=[1, 2], later_prompts=[[0.4, "a blue star"]])
    agree = [
        torch.allclose(a.z_next, b.z_next, atol=1e-5) for a, b in zip(plain.trajectory, changed.trajectory, strict=True)
    ]
    assert agree == [True, True, False, False, False]


def test_a_share_and_its_step_are_the_same_place(pipeline):
    share, step = (pipeline.text_to_image("a", later_prompts=[[place, "a star"]]) for place in (0.4, 2))
    assert torch.equal(final(share), final(step))


def test_the_same_sentence_again_changes_nothing(exact_model):
    pipeline = Pipeline(exact_model, defaults={"num_steps": 5, "sampler": "ddim"})
    plain = pipeline.text_to_image("a star")
    again = pipeline.text_to_image("a star", later_prompts=[[1, "a star"], [0.5, "a star"]])
    torch.testing.assert_close(final(again), final(plain), atol=1e-9, rtol=1e-9)


def test_notes_are_of_every_sentence(pipeline):
    notes = pipeline.text_to_image("a star", later_prompts=[[1, "a zebra\x00"]]).notes
    assert notes[0] == "1 control character removed from the prompt"
    assert any("never saw 'zebra'" in note for note in notes)


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ([[0, "x"]], "later_prompts has the place 0; give a share"),
        ([[-0.5, "x"]], "the place -0.5"),
        ([[1.5, "x"]], "the place 1.5"),
        ([[float("inf"), "x"]], "the place inf"),
        ([[float("nan"), "x"]], "the place nan"),
        ([[0.5]], r"later_prompts is \(\(0.5,\),\); expected a tuple of a tuple of float"),
        ([["x", 0.5]], "later_prompts is"),
        ([[5, "a star"]], "later_prompts has 'a star' from step 5 on, but the walk has 5 steps, 0 to 4"),
        ([[0.6, "x"], [0.2, "y"]], r"start at \(0.0, 0.6, 0.2\)"),
        ([[0.6, "x" * 1001]], "prompt has 1001 characters"),
    ],
)
def test_a_place_that_makes_no_sense_is_named(pipeline, later, message):
    with pytest.raises(RequestError, match=message):
        pipeline.text_to_image("a", later_prompts=later)
