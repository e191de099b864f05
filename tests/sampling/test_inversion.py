import itertools

import pytest
import torch

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.diffusion import ScheduleConfig
from ldm_lab.sampling import Guidance, invert_steps, make_scheduler, sample_steps

CONFIG = ScheduleConfig()
Z_0 = torch.linspace(-1, 1.6, 32, dtype=torch.float64).reshape(2, 1, 4, 4)


def inverted(model, num_steps=20, cond=None, **settings):
    return list(invert_steps(model, cond, Z_0, num_steps=num_steps, **settings))


def there_and_back(model, num_steps=20, cond=None, guidance=None, **settings):
    """Largest difference between a latent and what the walk makes of its inversion."""
    guided = {} if guidance is None else {"guidance": guidance}
    noise = inverted(model, num_steps, cond, **guided, **settings)[-1].z_next
    scheduler = make_scheduler("ddim", model.schedule.config, model.prediction)
    request = {"num_steps": num_steps, "seeds": [1, 2], "shape": Z_0.shape[1:], "start": (noise, 0)}
    *_, last = sample_steps(model, cond, scheduler, **request, **guided)
    return (last.z_next - Z_0).abs().max().item()


# Largest error of there and back in 20 steps, by evaluations a step, for latents within 2.6 deviations of the mean
MEASURED = {1: 0.119, 2: 0.0274, 3: 0.00677, 5: 0.00044}
ROUNDING = 1e-6  # 4.9e-7 and 6.1e-7 on two processors, by 10 evaluations a step


def test_the_error_is_the_stated_one(gaussian_model):
    """On data N(0.3, 0.5^2) every evaluation leaves about a quarter of the error; fp32 tables end it at 1e-7."""
    for num_iterations, expected in MEASURED.items():
        assert there_and_back(gaussian_model(), num_iterations=num_iterations) == pytest.approx(expected, rel=0.2)
    assert there_and_back(gaussian_model(), num_iterations=10) < ROUNDING


def test_more_steps_need_fewer_iterations(gaussian_model):
    errors = [there_and_back(gaussian_model(), num_steps=num_steps, num_iterations=1) for num_steps in (10, 40, 160)]
    assert all(after < 0.5 * before for before, after in itertools.pairwise(errors))


@pytest.mark.parametrize("prediction", ["eps", "z_0", "v"])
@pytest.mark.parametrize("num_steps", [7, 50])
def test_it_inverts_any_number_of_steps_and_any_prediction(gaussian_model, prediction, num_steps):
    assert there_and_back(gaussian_model(prediction=prediction), num_steps, num_iterations=40) < 1e-4


def test_the_noise_of_gaussian_data_has_its_known_answer(gaussian_model):
    """The flow keeps the number of standard deviations from the mean, upwards too."""
    model = gaussian_model()
    noise = inverted(model, num_steps=500, num_iterations=10)[-1].z_next
    exact = model.solve(noise, model.schedule.snr(torch.tensor(999)).rsqrt())
    torch.testing.assert_close(exact, Z_0, rtol=0, atol=0.02)


def test_a_non_linear_model_with_a_condition_and_guidance(conditional_model):
    cond, null = (Conditioning(vector=torch.full((2, 1), value)) for value in (0.5, 0.1))
    model = conditional_model()
    for guidance in (None, Guidance(scale=2.0, negative=null)):
        errors = [there_and_back(model, 50, cond, guidance, num_iterations=count) for count in (1, 4, 40)]
        assert errors[0] > 10 * errors[2]
        assert errors[2] < 1e-4
    other = Conditioning(vector=torch.full((2, 1), -0.5))
    assert (inverted(model, 20, cond)[-1].z_next - inverted(model, 20, other)[-1].z_next).abs().max() > 0.01


def test_records_are_true_and_chained(gaussian_model):
    model = gaussian_model()
    steps = inverted(model, num_steps=5, num_iterations=3)
    assert [step.t for step in steps] == [t for t in (199, 399, 599, 799, 999) for _ in range(3)]
    for step in steps:
        signal_rate, noise_rate = model.schedule.rates(torch.tensor([step.t] * 2), step.z_t)
        mixture = signal_rate * step.z_0_pred + noise_rate * step.noise_pred
        torch.testing.assert_close(mixture, step.z_t, rtol=0, atol=1e-5)
    for step, following in itertools.pairwise(steps):
        assert torch.equal(step.z_next, following.z_t)


def test_seeds_play_no_part_and_the_input_is_left_alone(gaussian_model):
    before = Z_0.clone()
    first, second = (inverted(gaussian_model())[-1].z_next for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(Z_0, before)


def test_bad_requests_are_named(gaussian_model):
    for count in (0, -1, 101, True, 2.0, None):
        with pytest.raises(RequestError, match=f"num_iterations is {count!r}; it must be an integer from 1 to 100"):
            invert_steps(gaussian_model(), None, Z_0, num_steps=5, num_iterations=count)
    with pytest.raises(RequestError, match="num_steps is 1001"):
        invert_steps(gaussian_model(), None, Z_0, num_steps=1001)
    with pytest.raises(ShapeError, match=r"z_0 has shape \(1, 4, 4\)"):
        invert_steps(gaussian_model(), None, Z_0[0], num_steps=5)
