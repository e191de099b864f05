import copy

import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.sampling import Guidance, make_scheduler, sample_steps
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(class_model):
    return Pipeline(class_model, defaults={"num_steps": 3, "sampler": "ddim"})


def final(run):
    return run.trajectory[-1].z_next


def test_it_is_the_walk_with_guidance_away_from_no_class(pipeline, class_model):
    with torch.no_grad():
        cond, negative = (class_model.condition([y] * 2) for y in (2, None))
    scheduler = make_scheduler("ddim", class_model.config.schedule, "eps")
    guidance = Guidance(scale=3.0, negative=negative)
    walk = {"num_steps": 3, "seeds": (4, 5), "shape": (3, 8, 8), "guidance": guidance}
    *_, last = sample_steps(class_model, cond, scheduler, **walk)
    run = pipeline.class_to_image("star", seeds=[4, 5], guidance_scale=3.0)
    torch.testing.assert_close(final(run), last.z_next, atol=1e-5, rtol=1e-5)


def test_a_number_and_its_name_are_the_same_class(pipeline):
    first, second, other = (pipeline.class_to_image(label) for label in (2, "star", "circle"))
    assert first.images[0].tobytes() == second.images[0].tobytes() != other.images[0].tobytes()
    assert repr(second) == "Run('class star', 1 image)"


def test_no_class_is_unconditional_whatever_the_guidance(class_model):
    exact = copy.deepcopy(class_model).double()  # in which kernels that sum in another order agree
    pipeline = Pipeline(exact, defaults={"num_steps": 3, "sampler": "ddim"})
    plain, guided = (pipeline.class_to_image(None, guidance_scale=scale) for scale in (1.0, 7.0))
    torch.testing.assert_close(final(guided), final(plain), atol=1e-9, rtol=0)
    assert plain.notes == ("there is no class: the images are unconditional",)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("zebra", "class label is 'zebra'; choose one of circle, square, star"),
        (3, "class label is 3; give an integer from 0 to 2"),
        (-1, "class label is -1"),
        (1.0, "label is 1.0; expected int or str or None"),
        (True, "label is True; expected int or str or None"),
    ],
)
def test_an_unknown_class_is_named_and_the_known_ones_listed(pipeline, label, message):
    with pytest.raises(RequestError, match=message):
        pipeline.class_to_image(label)


@pytest.mark.parametrize("model", ["tiny_model", "unconditional_model"])
def test_another_kind_of_model_is_refused(request, model):
    with pytest.raises(RequestError, match=r"needs a model that is conditioned on class labels \(shapes-class\)"):
        Pipeline(request.getfixturevalue(model)).class_to_image(0)
