"""Devices and versions: what is chosen, and what is said where a device is not there."""

import os
import platform
import subprocess
import sys

import diffusers
import pytest
import torch

import ldm_lab
from ldm_lab.core import runtime
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.runtime import (
    choose_device,
    describe_device,
    installed_version,
    multiplies_bf16,
    num_threads,
    versions,
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("LDM_LAB_DEVICE", raising=False)


def pretend(monkeypatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 * cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_device(monkeypatch, cuda, mps, expected):
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device() == torch.device(expected)


def test_the_environment_decides_what_auto_means_and_nothing_else(monkeypatch):
    pretend(monkeypatch, cuda=True, mps=False)
    monkeypatch.setenv("LDM_LAB_DEVICE", "cpu")
    assert choose_device() == torch.device("cpu")
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "device is 'gpu'; choose one of auto, cuda, cpu"),
        ("mps", "device 'mps' is not on this machine; choose one of auto, cuda, cpu"),
        ("cuda:2", "device 'cuda:2' is not on this machine"),
        ("", "device is ''; choose one of"),
    ],
)
def test_a_device_that_is_not_there_is_named(monkeypatch, name, message):
    pretend(monkeypatch, cuda=True, mps=False)
    with pytest.raises(ConfigError, match=message):
        choose_device(name)


def test_the_description_of_the_cpu_states_its_threads():
    assert describe_device(torch.device("cpu")).startswith(f"CPU, {torch.get_num_threads()} thread")
    assert num_threads() == torch.get_num_threads()


@pytest.mark.parametrize(
    ("device", "instructions", "expected"),
    [
        ("cpu", {"avx2": True}, False),
        ("cpu", {"amx_bf16": True}, True),
        ("cpu", {"bf16": False}, False),
        ("cuda", {}, True),
        ("mps", {}, True),
    ],
)
def test_bf16_pays_on_gpus_and_where_the_processor_has_it(monkeypatch, device, instructions, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert multiplies_bf16(torch.device(device)) == expected


@pytest.mark.gpu
def test_the_description_of_a_gpu_states_its_memory():
    assert describe_device(torch.device("cuda")).endswith("GiB")


def test_versions_are_those_that_run():
    found = versions()
    assert found["ldm_lab"] == ldm_lab.__version__
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__.split("+")[0]
    assert found["diffusers"] == diffusers.__version__


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    assert installed_version("no-such-package") is None
    monkeypatch.setattr(runtime, "PACKAGES", ("no-such-package", "torch"))
    assert "no-such-package" not in versions()


def test_versions_need_no_torch():
    script = "import sys; from ldm_lab.core.runtime import versions; versions(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], env=dict(os.environ)).returncode == 0
