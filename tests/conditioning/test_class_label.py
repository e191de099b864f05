import numpy as np
import pytest
import torch

from ldm_lab.conditioning import ClassLabel, ClassLabelConfig
from ldm_lab.core.errors import ConfigError, RequestError

NAMES = ("circle", "square", "star")


def conditioner(**options):
    return ClassLabel(ClassLabelConfig(num_classes=3, width=8, **options))


def test_each_label_is_its_row_of_the_embedding():
    model = conditioner()
    context = model.encode([2, 0]).context
    assert context.shape == (2, 1, 8)
    torch.testing.assert_close(context[:, 0], model.embedding.weight[[2, 0]], rtol=0, atol=0)


def test_null_is_a_row_of_its_own():
    model = conditioner()
    assert model.embedding.weight.shape == (4, 8)
    context = model.encode([model.null, 0, 1, 2]).context[:, 0]
    torch.testing.assert_close(context[0], model.embedding.weight[3], rtol=0, atol=0)
    assert all(not torch.equal(context[0], row) for row in context[1:])


def test_vector_target_gives_a_vector_of_the_same_numbers():
    model = conditioner(target="vector")
    cond = model.encode([1, None])
    assert cond.context is None
    torch.testing.assert_close(cond.vector, model.embedding.weight[[1, 3]], rtol=0, atol=0)
    assert (model.context_dim, model.vector_dim) == (None, 8)
    assert (conditioner().context_dim, conditioner().vector_dim) == (8, None)


def test_names_numbers_and_integer_types_mean_the_same():
    model = conditioner(names=NAMES)
    for y in (["star", "circle"], [2, 0], np.array([2, 0]), torch.tensor([2, 0])):
        assert model.prepare(y)["labels"].tolist() == [2, 0]


def test_imagenet_embedding_has_the_size_of_the_reference():
    with torch.device("meta"):
        model = ClassLabel(ClassLabelConfig(num_classes=1000, width=512))
    assert model.embedding.weight.shape == (1001, 512)


@pytest.mark.parametrize("label", [3, -1, True, 1.0, 2**70, b"star"])
def test_labels_out_of_range_or_of_another_type_are_refused(label):
    with pytest.raises(RequestError, match=rf"class label is {label!r}; give an integer from 0 to 2"):
        conditioner().prepare([0, label])


def test_unknown_names_are_refused():
    with pytest.raises(RequestError, match="'stra'; choose one of circle, square, star"):
        conditioner(names=NAMES).prepare(["stra"])
    with pytest.raises(RequestError, match="'star', but this model has no class names"):
        conditioner().prepare(["star"])
    with pytest.raises(RequestError, match=r"got the string 'star', write \['star'\]"):
        conditioner(names=NAMES).prepare("star")


def test_config_refuses_names_that_do_not_fit():
    with pytest.raises(ConfigError, match="names has 2 entries, but num_classes is 3"):
        conditioner(names=NAMES[:2])
    with pytest.raises(ConfigError, match="'star' occurs more than once"):
        conditioner(names=("star", "circle", "star"))
    with pytest.raises(ConfigError, match="num_classes is 0"):
        ClassLabelConfig(num_classes=0)


def test_initialisation_is_standard_normal():
    torch.manual_seed(0)
    weight = ClassLabel(ClassLabelConfig(num_classes=999, width=64)).embedding.weight
    assert abs(weight.mean().item()) < 4.5 / weight.numel() ** 0.5
    assert abs(weight.var().item() - 1) < 4.5 * (2 / weight.numel()) ** 0.5
