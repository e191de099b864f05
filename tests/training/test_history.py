import json

import pytest

from ldm_lab.training.history import MAX_POINTS, History, newest_sheet
from ldm_lab.training.stage import TrainStep


def step(index, loss, **figures):
    return TrainStep(index, loss, {"reconstruction": loss}, 1e-3, 1.0, figures)


def test_steps_and_figures_are_kept():
    history = History()
    for index, figures in enumerate([{}, {"psnr": 10.0}, {}, {"psnr": 12.0}]):
        history.add(step(index, 4.0 - index, **figures))
    assert (history.steps, history.losses) == ([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0])
    assert history.figures == {"psnr": [(2, 10.0), (4, 12.0)]}
    assert history.health == {"psnr": 12.0}


def test_a_log_is_read_and_what_is_in_every_line_is_no_figure(tmp_path):
    lines = [{"step": n, "loss": 1.0 / n, "lr": 0.1, "grad_norm": 1.0, "kl": 2.0} for n in (2, 4, 6)]
    lines[2] |= {"psnr": 20.0}
    text = "\n".join(map(json.dumps, lines)) + '\n{"step": 8, "lo'
    (tmp_path / "log.jsonl").write_text(text)
    history = History.of(tmp_path)
    assert (history.steps, history.figures) == ([2, 4, 6], {"psnr": [(6, 20.0)]})
    assert History.of(tmp_path / "nowhere").steps == []


def test_a_step_that_is_done_again_replaces_what_came_after_it():
    history = History()
    for index in (0, 1, 2):
        history.add(step(index, 1.0, psnr=float(index)))
    history.add(step(1, 5.0, psnr=7.0))
    assert (history.steps, history.losses) == ([1, 2], [1.0, 5.0])
    assert history.figures["psnr"] == [(1, 0.0), (2, 7.0)]


def test_the_average_follows_and_long_runs_are_thinned():
    history = History()
    for index in range(2 * MAX_POINTS + 1):
        history.add(step(index, 0.0 if index == 0 else 1.0))
    steps, lines = history.curves()
    assert len(steps) <= MAX_POINTS + 2
    assert steps[-1] == 2 * MAX_POINTS + 1
    assert lines["smoothed"][0] == 0.0
    assert lines["smoothed"][1] == pytest.approx(1 - 0.95**3)  # every third step is kept
    assert History().curves() == ([], {"loss": [], "smoothed": []})


def test_the_newest_sheet_is_found(tmp_path):
    assert newest_sheet(tmp_path) is None
    (tmp_path / "sheets").mkdir()
    for name in ("step-00000002.png", "step-00000010.png"):
        (tmp_path / "sheets" / name).touch()
    assert newest_sheet(tmp_path).name == "step-00000010.png"
