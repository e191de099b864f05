import math

import pytest
import torch

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import convert
from ldm_lab.sampling import Guidance, guide, make_scheduler, sample_steps
from ldm_lab.sampling.guidance import bind_guided

COND = Conditioning(vector=torch.tensor([[0.5], [-1.0]]))
NULL = Conditioning(vector=torch.tensor([[0.1], [0.1]]))
TIMESTEPS = torch.arange(999, -1, -111)  # 999, 888, …, 0


@pytest.fixture
def z_t():
    return torch.randn(2, 4, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def predictions():
    return torch.randn(2, 2, 4, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_scale_1_is_the_condition_alone(conditional_model, z_t):
    model = conditional_model()
    for guidance in (Guidance(), Guidance(negative=NULL), Guidance(negative=NULL, rescale=0.7)):
        guided = bind_guided(model, COND, TIMESTEPS, guidance)(z_t, 3)
        assert torch.equal(guided, model.bind(COND, TIMESTEPS)(z_t, 3))
    assert {copies for copies, _ in model.evaluations} == {1}


def test_scale_0_is_the_negative_alone(conditional_model, z_t):
    model = conditional_model()
    guided = bind_guided(model, COND, TIMESTEPS, Guidance(scale=0.0, negative=NULL))(z_t, 3)
    assert torch.equal(guided, model.bind(NULL, TIMESTEPS)(z_t, 3))
    assert not torch.equal(guided, model.bind(COND, TIMESTEPS)(z_t, 3))


def test_guidance_goes_through_both_predictions(conditional_model, z_t):
    model = conditional_model()
    guided = bind_guided(model, COND, TIMESTEPS, Guidance(scale=3.0, negative=NULL))(z_t, 3)
    negative, positive = (model.bind(cond, TIMESTEPS)(z_t, 3) for cond in (NULL, COND))
    torch.testing.assert_close(guided, negative + 3.0 * (positive - negative), rtol=0, atol=1e-14)
    assert (guided - positive).abs().max() > 0.1


def test_guidance_is_linear_in_its_scale(predictions):
    negative, positive = predictions
    one, two, four = (guide(negative, positive, scale=scale) for scale in (1.0, 2.0, 4.0))
    torch.testing.assert_close(one, positive, rtol=0, atol=1e-14)
    torch.testing.assert_close(four - one, 3 * (two - one), rtol=0, atol=1e-13)


@pytest.mark.parametrize("target", ["z_0", "v"])
def test_guiding_any_parameterisation_is_the_same(conditional_model, predictions, z_t, target):
    schedule, t = conditional_model().schedule, torch.tensor([300, 800])

    def restate(eps):
        return convert(eps, z_t, t, schedule, source="eps", target=target)

    negative, positive = predictions
    first_guided = restate(guide(negative, positive, scale=4.0))
    first_restated = guide(restate(negative), restate(positive), scale=4.0)
    torch.testing.assert_close(first_guided, first_restated, rtol=1e-10, atol=1e-10)


def test_rescale_gives_each_image_the_spread_of_the_condition(predictions):
    negative, positive = predictions
    guided = guide(negative, positive, scale=5.0)
    rescaled = guide(negative, positive, scale=5.0, rescale=1.0)
    spread = positive.flatten(1).std(1)
    torch.testing.assert_close(rescaled.flatten(1).std(1), spread)
    assert (guided.flatten(1).std(1) > 1.5 * spread).all()  # so there was something to do
    half = guide(negative, positive, scale=5.0, rescale=0.5)
    torch.testing.assert_close(half, 0.5 * (guided + rescaled))
    assert torch.equal(guide(negative, positive, scale=5.0, rescale=0.0), guided)


def test_rescaling_one_image_does_not_depend_on_the_others(predictions):
    negative, positive = predictions
    batch = guide(negative, positive, scale=5.0, rescale=0.7)
    single = guide(negative[1:], positive[1:], scale=5.0, rescale=0.7)
    torch.testing.assert_close(batch[1:], single, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("interval", "guided_steps"),
    [
        ((0.0, 1.0), [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
        ((0.0, 0.34), [999, 888, 777, 666]),
        ((0.5, 1.0), [444, 333, 222, 111, 0]),
        ((0.3, 0.6), [666, 555, 444]),
        ((0.3, 0.3), []),
    ],
)
def test_the_interval_saves_evaluations(conditional_model, z_t, interval, guided_steps):
    model = conditional_model()
    predict = bind_guided(model, COND, TIMESTEPS, Guidance(scale=3.0, interval=interval, negative=NULL))
    everywhere = bind_guided(conditional_model(), COND, TIMESTEPS, Guidance(scale=3.0, negative=NULL))
    alone = conditional_model().bind(COND, TIMESTEPS)
    for index, t in enumerate(TIMESTEPS.tolist()):
        expected = everywhere if t in guided_steps else alone
        assert torch.equal(predict(z_t, index), expected(z_t, index))
    assert model.evaluations == [(2 if t in guided_steps else 1, t) for t in TIMESTEPS.tolist()]


def test_the_interval_means_the_same_for_every_number_of_steps(conditional_model):
    guidance = Guidance(scale=3.0, interval=(0.2, 0.6), negative=NULL)
    shares = []
    for num_steps in (50, 200, 1000):
        timesteps = torch.arange(999, -1, -1000 // num_steps)
        shares.append(sum(guidance.acts_at(timesteps, 1000)) / len(timesteps))
    assert shares == pytest.approx([0.4] * 3, abs=0.02)


def test_a_curve_gives_every_step_its_scale(conditional_model, z_t):
    curve = ((0.2, 1.0), (0.6, 5.0), (0.8, 3.0))
    predict = bind_guided(conditional_model(), COND, TIMESTEPS, Guidance(curve=curve, negative=NULL))
    expected = [1.0, 1.0, 1.22, 2.33, 3.44, 4.56, 4.33, 3.22, 3.0, 3.0]  # at 0, 1/9, 2/9 … of the way
    for index, scale in enumerate(expected):
        fixed = bind_guided(conditional_model(), COND, TIMESTEPS, Guidance(scale=scale, negative=NULL))
        assert (predict(z_t, index) - fixed(z_t, index)).abs().max() < 0.02  # the scales above have two decimals


def test_where_a_curve_is_1_one_evaluation_suffices(conditional_model, z_t):
    model = conditional_model()
    predict = bind_guided(model, COND, TIMESTEPS, Guidance(curve=((0.0, 1.0), (0.5, 1.0), (0.6, 4.0)), negative=NULL))
    for index in range(len(TIMESTEPS)):
        predict(z_t, index)
    assert [copies for copies, _ in model.evaluations] == [1] * 5 + [2] * 5


def test_a_curve_needs_a_negative_condition_too():
    with pytest.raises(RequestError, match="guidance scale is 3.0, which needs a negative condition"):
        Guidance(curve=((0.5, 3.0),))


def test_in_the_box_the_scale_holds_and_around_it_the_other(conditional_model, z_t):
    box = (0.0, 0.4, 0.5, 1.0)
    guidance = Guidance(scale=4.0, box=box, outside=0.0, negative=NULL)
    guided = bind_guided(conditional_model(), COND, TIMESTEPS, guidance)(z_t, 3)
    inside, outside = (
        bind_guided(conditional_model(), COND, TIMESTEPS, Guidance(scale=scale, negative=NULL))(z_t, 3)
        for scale in (4.0, 0.0)
    )
    cells = torch.zeros(5, 5, dtype=torch.bool)
    cells[2:, :3] = True  # middles at 0.1, 0.3, 0.5, 0.7, 0.9
    assert torch.equal(guided, torch.where(cells, inside, outside))


def test_a_box_alone_needs_two_evaluations_where_the_outside_is_guided(conditional_model, z_t):
    model = conditional_model()
    bind_guided(model, COND, TIMESTEPS, Guidance(box=(0.0, 0.0, 0.5, 0.5), outside=2.0, negative=NULL))(z_t, 3)
    assert [copies for copies, _ in model.evaluations] == [2]


def test_the_network_computes_in_its_own_dtype(conditional_model):
    model = conditional_model(dtype=torch.bfloat16)
    predict = bind_guided(model, COND, TIMESTEPS, Guidance(scale=3.0, negative=NULL))
    assert predict(torch.zeros(2, 1, 2, 2), 0).dtype == torch.float32


def test_a_whole_walk_with_scale_1_is_the_plain_walk(conditional_model):
    model = conditional_model()
    scheduler = make_scheduler("ddim", model.schedule.config, "eps")
    walks = [
        list(sample_steps(model, COND, scheduler, num_steps=4, seeds=[1, 2], shape=(1, 3, 3), guidance=guidance))
        for guidance in (Guidance(), Guidance(negative=NULL), Guidance(scale=2.0, negative=NULL))
    ]
    assert torch.equal(walks[0][-1].z_next, walks[1][-1].z_next)
    assert not torch.equal(walks[0][-1].z_next, walks[2][-1].z_next)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": -1.0}, "scale is -1.0; it must be from 0.0 to 50.0"),
        ({"scale": 51.0}, "scale is 51.0"),
        ({"scale": math.nan}, "scale is nan"),
        ({"scale": True}, "scale is True"),
        ({"scale": "7"}, "scale is '7'"),
        ({"rescale": 1.5}, "rescale is 1.5"),
        ({"interval": (0.6, 0.4)}, r"interval is \(0.6, 0.4\)"),
        ({"interval": (-0.1, 1.0)}, "interval is -0.1"),
        ({"interval": (0.5,)}, r"interval is \(0.5,\)"),
        ({"curve": ((0.5, 2.0), (0.5, 3.0))}, r"curve has the places \[0.5, 0.5\]; they must rise"),
        ({"curve": ((0.5, 51.0),)}, "curve has the scale 51.0; it must be from 0.0 to 50.0"),
        ({"box": (0.5, 0.0, 0.4, 1.0)}, r"box is \(0.5, 0.0, 0.4, 1.0\); give left, top, right and bottom"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(RequestError, match=message):
        Guidance(**settings, negative=NULL)


def test_guidance_needs_both_conditions(conditional_model):
    with pytest.raises(RequestError, match=r"guidance scale is 3.0, which needs a negative condition"):
        Guidance(scale=3.0)
    with pytest.raises(RequestError, match=r"guidance scale is 3.0, but this model is given no condition"):
        bind_guided(conditional_model(), None, TIMESTEPS, Guidance(scale=3.0, negative=NULL))
    with pytest.raises(RequestError, match="there are 1 negative conditions for 2 conditions"):
        bind_guided(conditional_model(), COND, TIMESTEPS, Guidance(scale=3.0, negative=NULL.select([0])))
