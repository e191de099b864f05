import pytest
import torch

from ldm_lab.core.errors import ConfigError
from ldm_lab.diffusion import NoiseSchedule, ScheduleConfig
from ldm_lab.sampling import SAMPLERS, make_scheduler, sample_steps

SCHEDULES = {
    "LDM": ScheduleConfig(),
    "cosine": ScheduleConfig(kind="cosine"),
    "zero": ScheduleConfig(zero_terminal_snr=True),
    "cosine-zero": ScheduleConfig(kind="cosine", zero_terminal_snr=True),
}
FITTING = [
    (schedule, prediction)
    for schedule in SCHEDULES
    for prediction in ("eps", "z_0", "v")
    if not (SCHEDULES[schedule].zero_terminal_snr and prediction == "eps")
]


class WithError:
    """Adds a fixed error of one percent to what a model predicts, as every trained network has."""

    def __init__(self, model):
        self.model = model
        self.schedule, self.prediction, self.device, self.dtype = (
            getattr(model, name) for name in ("schedule", "prediction", "device", "dtype")
        )

    def bind(self, cond, timesteps, *, copies=1):
        denoise = self.model.bind(cond, timesteps, copies=copies)
        error = 0.01 * torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
        return lambda z_t, index: denoise(z_t, index) + error


def last(model, scheduler, num_steps, **settings):
    *_, step = sample_steps(model, None, scheduler, num_steps=num_steps, seeds=[1], shape=(1, 8, 8), **settings)
    return step


@pytest.mark.parametrize("name", SAMPLERS)
def test_latents_are_never_clipped(name):
    config = make_scheduler(name, ScheduleConfig(), "eps").config
    assert not config.get("clip_sample", False)
    assert not config.get("thresholding", False)


@pytest.mark.parametrize(("schedule", "prediction"), FITTING)
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_count_gives_a_sane_latent(gaussian_model, name, schedule, prediction):
    """Data of standard deviation 0.5 and a model that errs by 1 %: nothing may explode, from one step on."""
    model = WithError(gaussian_model(SCHEDULES[schedule], prediction, dtype=torch.float32))
    scheduler = make_scheduler(name, SCHEDULES[schedule], prediction)
    for num_steps in (1, 2, 3, 4, 7, 20) if name != "lms" else (1, 2, 7):  # lms takes its time for its coefficients
        z = last(model, scheduler, num_steps).z_next
        assert z.isfinite().all()
        if num_steps == 20 or name not in ("plms", "heun"):  # both gain from steps, and need some
            assert z.std() < 2.0


@pytest.mark.parametrize("name", ["ddim", "dpm++2m", "unipc", "euler", "lms"])
def test_more_steps_come_closer_to_the_solution(gaussian_model, name):
    model = gaussian_model()
    scheduler = make_scheduler(name, ScheduleConfig(), "eps")
    errors = []
    for num_steps in (5, 10, 20):
        *_, step = walk = list(sample_steps(model, None, scheduler, num_steps=num_steps, seeds=[1], shape=(1, 8, 8)))
        exact = model.solve(walk[0].z_t, model.schedule.snr(torch.tensor(999)).rsqrt())
        errors.append((step.z_next - exact).abs().max().item())
    assert errors[0] < 1.0
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "lms"])
def test_the_first_and_last_steps_of_the_longest_walks(gaussian_model, name):
    model = gaussian_model(dtype=torch.float32)
    scheduler = make_scheduler(name, ScheduleConfig(), "eps")
    for num_steps in (997, 999, 1000):
        walk = sample_steps(model, None, scheduler, num_steps=num_steps, seeds=[1], shape=(1, 8, 8))
        first, second = next(walk), next(walk)
        assert first.t == 999
        assert torch.equal(first.z_next, second.z_t)
        positions = {"heun": 2 * num_steps - 1, "plms": num_steps + 1}.get(name, num_steps)
        end = last(model, scheduler, num_steps, start=(0.3 * torch.ones(1, 1, 8, 8), positions - 3))
        assert end.t <= 1
        assert end.z_next.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("num_steps", [100, 999, 1000])
@pytest.mark.parametrize("name", SAMPLERS)
def test_long_walks_draw_from_the_data(gaussian_model, name, num_steps):
    model = gaussian_model(dtype=torch.float32)
    z = last(model, make_scheduler(name, ScheduleConfig(), "eps"), num_steps).z_next
    assert z.mean().item() == pytest.approx(0.3, abs=0.2)  # 64 numbers of standard deviation 0.5
    assert z.std().item() == pytest.approx(0.5 if name != "lcm" else 0.37, abs=0.12)


def test_schedulers_take_a_prediction_or_an_equal_one():
    expected = {("plms", "z_0"): "epsilon", ("plms", "v"): "epsilon", ("euler-a", "z_0"): "v_prediction"}
    plain = {"eps": "epsilon", "z_0": "sample", "v": "v_prediction"}
    for name in SAMPLERS:
        for prediction, its_name in plain.items():
            scheduler = make_scheduler(name, ScheduleConfig(), prediction)
            assert scheduler.config.prediction_type == expected.get((name, prediction), its_name)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_statement_in_any_parameterisation_gives_the_same_latent(gaussian_model, name):
    results = [
        last(gaussian_model(prediction=prediction), make_scheduler(name, ScheduleConfig(), prediction), 8).z_next
        for prediction in ("eps", "z_0", "v")
    ]
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-3)  # the schedulers' tables are fp32
    torch.testing.assert_close(results[2], results[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_only_stochastic_samplers_depend_on_the_noise_on_the_way(gaussian_model, name):
    """From the same z_t, another seed leads elsewhere if and only if the catalogue says so."""
    model, scheduler = gaussian_model(), make_scheduler(name, ScheduleConfig(), "eps")
    start = (torch.ones(1, 1, 8, 8), 2)
    ends = []
    for seed in (1, 2):
        *_, step = sample_steps(model, None, scheduler, num_steps=6, seeds=[seed], shape=(1, 8, 8), start=start)
        ends.append(step.z_next)
    assert torch.equal(*ends) is not SAMPLERS[name].stochastic


def test_eps_begins_where_there_is_signal_and_the_others_at_the_end():
    for schedule, prediction, first in (
        ("LDM", "eps", 999),
        ("cosine", "eps", 995),
        ("cosine", "v", 999),
        ("zero", "v", 999),
    ):
        scheduler = make_scheduler("ddim", SCHEDULES[schedule], prediction)
        scheduler.set_timesteps(20)
        assert scheduler.timesteps[0] == first


def test_without_that_the_cosine_schedule_would_explode(gaussian_model):
    """The negative control: diffusers' DDIM from the last step, with the same one percent of error."""
    from diffusers import DDIMScheduler

    model = WithError(gaussian_model(SCHEDULES["cosine"], dtype=torch.float32))
    betas = NoiseSchedule(SCHEDULES["cosine"]).betas.tolist()
    scheduler = DDIMScheduler(trained_betas=betas, clip_sample=False, timestep_spacing="trailing")
    assert last(model, scheduler, 20).z_next.std() > 3.0


def test_zero_terminal_snr_leaves_a_trace_of_signal_and_stays_monotone():
    scheduler = make_scheduler("ddpm", SCHEDULES["zero"], "v")
    scheduler.set_timesteps(1000)
    assert (scheduler.sigmas.diff() < 0).all()
    assert scheduler.sigmas[0] > 4096  # no more signal than diffusers leaves


def test_other_lengths_of_schedule_work(gaussian_model):
    config = ScheduleConfig(num_train_steps=50, beta_start=0.02, beta_end=0.3)
    for name in SAMPLERS:
        for num_steps in (3, 50) if name != "lms" else (3,):
            step = last(gaussian_model(config), make_scheduler(name, config, "eps"), num_steps)
            assert step.z_next.isfinite().all()


def test_unknown_names_and_impossible_predictions_are_named():
    with pytest.raises(ConfigError, match="sampler is 'dpm'; choose one of ddpm, ddim, plms"):
        make_scheduler("dpm", ScheduleConfig(), "eps")
    with pytest.raises(ConfigError, match="'eps' cannot be used with zero_terminal_snr=True"):
        make_scheduler("ddim", SCHEDULES["zero"], "eps")
