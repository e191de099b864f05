"""One thread, no downloads, the same examples every time: a test that failed once fails again."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest
import torch

torch.set_num_threads(1)  # toy sizes: more threads cost more than they bring, and sums would depend on the machine
hypothesis.settings.register_profile("ldm_lab", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("ldm_lab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and leave slow tests for the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))
        if item.get_closest_marker("network") and "LDM_LAB_NETWORK" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="needs the internet; set LDM_LAB_NETWORK=1 to run it"))
