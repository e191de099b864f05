"""Checkpoints on disk: the native folders, read safely and written atomically."""

from ldm_lab.checkpoints.first_stage import FirstStageReference, find_first_stage, reference_of, reference_to
from ldm_lab.checkpoints.folder import Checkpoint, read_checkpoint
from ldm_lab.checkpoints.native import (
    load_autoencoder,
    load_model,
    save_autoencoder,
    save_model,
    store_linear_preview,
)
from ldm_lab.checkpoints.tensors import read_tensors, write_tensors
from ldm_lab.checkpoints.zoo import ZOO, locate_first_stage, locate_model, shipped_first_stages, shipped_models

__all__ = [
    "ZOO",
    "Checkpoint",
    "FirstStageReference",
    "find_first_stage",
    "load_autoencoder",
    "load_model",
    "locate_first_stage",
    "locate_model",
    "read_checkpoint",
    "read_tensors",
    "reference_of",
    "reference_to",
    "save_autoencoder",
    "save_model",
    "shipped_first_stages",
    "shipped_models",
    "store_linear_preview",
    "write_tensors",
]
