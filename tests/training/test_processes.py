"""Two processes on one machine train as one with twice the batch."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.objective import AutoencoderObjectiveConfig
from ldm_lab.checkpoints import read_tensors
from ldm_lab.core.config import to_dict
from tests.serving import free_port

from .conftest import Runner

TRAIN = """
import json, sys, torch
from itertools import islice
torch.set_num_threads(1)
from pathlib import Path
from ldm_lab.core.config import from_dict
from ldm_lab.training.autoencoder_stage import AutoencoderRecipe, AutoencoderStage
from ldm_lab.training.loop import train
recipe, folder, count = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
stage = AutoencoderStage(from_dict(AutoencoderRecipe, recipe))
steps = train(stage, stage.recipe.training, folder, device="cpu")
list(islice(steps, count))
steps.close()
"""


def train_in_two_processes(recipe, folder, *, count=1000):
    """Start both, wait for both; each does at most ``count`` steps."""
    port = free_port()
    words = [sys.executable, "-c", TRAIN, json.dumps(to_dict(recipe)), str(folder), str(count)]
    common = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    processes = [
        subprocess.Popen(words, env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for process in processes:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error.decode()


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch_also_across_a_stop(autoencoder_recipe, tmp_path):
    """VQ, since it draws no noise; fp32, so that sums in another order differ in the last digits."""
    recipe = replace(
        autoencoder_recipe,
        autoencoder=replace(autoencoder_recipe.autoencoder, bottleneck=VQConfig(num_codes=8)),
        objective=AutoencoderObjectiveConfig(perceptual="none", adversarial_weight=0.0),
    )
    pair = Runner(recipe).with_training(num_steps=4, save_every=100, batch_size=2)
    train_in_two_processes(pair.recipe, tmp_path / "pair", count=2)
    train_in_two_processes(pair.recipe, tmp_path / "pair")
    Runner(recipe).with_training(num_steps=4, batch_size=4).finish(tmp_path / "single")
    name = "checkpoints/step-00000004/model.safetensors"
    first, second = (read_tensors(tmp_path / folder / name) for folder in ("pair", "single"))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)
    lines = (tmp_path / "pair" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]  # written by one of them
    assert (tmp_path / "pair" / "checkpoints" / "step-00000002").is_dir()
