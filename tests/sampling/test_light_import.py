"""What is put off can be had afterwards, and what cannot do without it gets it."""

import json
import subprocess
import sys
from importlib import import_module
from threading import Thread

import pytest

from ldm_lab.sampling.light_import import load_lightly

SCRIPT = """
import json, sys
def loaded():
    return [name for name in ("torch._dynamo", "scipy.stats._distn_infrastructure") if name in sys.modules]
from ldm_lab.diffusion import ScheduleConfig
from ldm_lab.sampling import make_scheduler
make_scheduler("dpm++2m", ScheduleConfig(), "eps").set_timesteps(5)
before = loaded()
import diffusers, torch, torch._dynamo
diffusers.DPMSolverMultistepScheduler(use_beta_sigmas=True).set_timesteps(5)
torch.compile(torch.nn.Linear(2, 2))
print(json.dumps([before, loaded()]))
"""


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """A module of the name of torch's compiler that is not imported yet, below a package that is cheap to import."""
    (tmp_path / "torch_of_test").mkdir()
    (tmp_path / "torch_of_test" / "__init__.py").touch()
    (tmp_path / "torch_of_test" / "_dynamo.py").write_text("number = 7")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("ldm_lab.sampling.light_import.REFUSED", "torch_of_test._dynamo")
    monkeypatch.setattr("ldm_lab.sampling.light_import.POSTPONED", "torch_of_test")
    yield "torch_of_test._dynamo"
    for name in ("torch_of_test._dynamo", "torch_of_test"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_scheduler_needs_neither_and_both_still_work():
    output = subprocess.check_output([sys.executable, "-c", SCRIPT], text=True)
    before, after = json.loads(output.splitlines()[-1])
    assert before == []
    assert len(after) == 2  # negative control: these are the names to look for


def test_refused_where_there_is_a_way_without(compiler):
    def load():
        with pytest.raises(ImportError):
            import_module(compiler)
        return 1

    assert load_lightly(load) == 1
    assert compiler not in sys.modules
    assert import_module(compiler).number == 7


@pytest.mark.parametrize("error", [ImportError, RuntimeError])
def test_granted_where_there_is_none(compiler, error):
    def load():
        try:
            return import_module(compiler).number
        except ImportError as reason:
            raise error("diffusers cannot be imported") from reason

    assert load_lightly(load) == 7
    assert not [finder for finder in sys.meta_path if type(finder).__name__ == "_LightFinder"]


def test_other_errors_pass_and_nothing_is_tried_twice():
    calls = []

    def load():
        calls.append(len(sys.meta_path))
        raise RuntimeError("broken installation")

    with pytest.raises(RuntimeError, match="broken installation"):
        load_lightly(load)
    assert calls == [len(sys.meta_path) + 1]


def test_modules_that_are_there_stay_there(compiler):
    module = import_module(compiler)
    assert load_lightly(lambda: import_module(compiler)) is module


def test_other_threads_notice_nothing(compiler):
    found = []

    def load():
        thread = Thread(target=lambda: found.append(import_module(compiler).number))
        thread.start()
        thread.join()

    load_lightly(load)
    assert found == [7]


def test_postponed_until_it_is_used(compiler, tmp_path):
    (tmp_path / "torch_of_test" / "__init__.py").write_text("import sys; sys.used_in_test = True; number = 8")
    module = load_lightly(lambda: import_module("torch_of_test"))
    assert not hasattr(sys, "used_in_test")
    assert module.number == 8
    assert vars(sys).pop("used_in_test")
