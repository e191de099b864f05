import json
import shutil

import pytest
import torch

from ldm_lab.checkpoints import (
    load_autoencoder,
    load_model,
    read_checkpoint,
    save_autoencoder,
    store_linear_preview,
)
from ldm_lab.core.errors import CheckpointCorruptError, CheckpointFormatError
from ldm_lab.core.io import verify_manifest, write_manifest
from ldm_lab.core.seeding import generator

BATCHES = [torch.rand(2, 3, 16, 16, generator=generator("images")) * 2 - 1]


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A first stage with a text beside it, and a model that refers to it."""
    shutil.copytree(tiny_folder.parent, tmp_path / "models")
    first_stage = tmp_path / "models" / "tiny-kl"
    (first_stage / "README.md").write_text("about it")
    return first_stage


def test_it_is_stored_and_loaded_and_nothing_else_changes(folder, tiny_folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    digest = read_checkpoint(folder).digest
    assert load_autoencoder(folder).linear_preview is None
    preview = store_linear_preview(folder, BATCHES)
    assert load_autoencoder(folder).linear_preview == preview
    assert load_model(folder.parent / tiny_folder.name).autoencoder.linear_preview == preview
    assert read_checkpoint(folder).digest == digest
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"config.json", "manifest.json"}
    assert verify_manifest(folder)["about"] == json.loads(before["manifest.json"])["about"]


def test_a_card_may_still_be_edited_afterwards(folder):
    card = folder / "README.md"
    card.write_text("a card")
    store_linear_preview(folder, BATCHES)
    card.write_text("another card")
    assert load_autoencoder(folder).linear_preview is not None
    (folder / "config.json").write_text("{}")
    with pytest.raises(CheckpointCorruptError, match=r"config\.json"):
        load_autoencoder(folder)


def test_an_autoencoder_that_has_one_is_saved_with_it(folder, tmp_path):
    store_linear_preview(folder, BATCHES)
    autoencoder = load_autoencoder(folder)
    save_autoencoder(tmp_path / "copy", autoencoder, recipe={})
    assert load_autoencoder(tmp_path / "copy").linear_preview == autoencoder.linear_preview


def rewrite(folder, preview):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"linear_preview": preview}))
    (folder / "manifest.json").unlink()
    write_manifest(folder)


@pytest.mark.parametrize(
    ("preview", "message"),
    [
        ({"weight": [[0, 0, 0]] * 4, "bias": [0, 0, 0]}, "linear_preview has 4 channels, the latents have 3"),
        ({"weight": [[0, 0, 0]] * 3, "bias": [0, 0]}, "config.json: bias is"),
        ("grey", "linear_preview must be a mapping, got str"),
    ],
)
def test_a_bad_one_names_the_file(folder, preview, message):
    rewrite(folder, preview)
    with pytest.raises(CheckpointFormatError, match=message):
        load_autoencoder(folder)


def test_an_altered_one_is_noticed(folder):
    store_linear_preview(folder, BATCHES)
    path = folder / "config.json"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(CheckpointCorruptError, match="config.json was altered"):
        load_autoencoder(folder)
