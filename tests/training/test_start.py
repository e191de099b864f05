from dataclasses import replace

import pytest
import torch
from torch import nn

from ldm_lab.core.errors import CheckpointMismatchError
from ldm_lab.data.source import DataConfig
from ldm_lab.training.start import copy_weights, portable


def test_weights_are_copied_all_or_none():
    source, target = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    before = target[0].weight.detach().clone()
    with pytest.raises(CheckpointMismatchError, match=r"its 1.bias has shape \(2,\), this recipe needs \(3,\)"):
        copy_weights(source, target, source="x")
    torch.testing.assert_close(target[0].weight.detach(), before, rtol=0, atol=0)
    with pytest.raises(CheckpointMismatchError, match=r"its 1.bias has shape None, this recipe needs \(3,\)"):
        copy_weights(source[:1], target, source="x")


def test_a_recipe_leaves_its_folder_behind(autoencoder_recipe, tmp_path):
    recipe = replace(autoencoder_recipe, data=DataConfig(path=str(tmp_path / "birds"), size=16))
    assert portable(recipe).data.path == "birds"
    assert portable(autoencoder_recipe) == autoencoder_recipe
