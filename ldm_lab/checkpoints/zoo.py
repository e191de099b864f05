"""The models that come with the package."""

from pathlib import Path

from ldm_lab.core.io import MANIFEST, read_json

ZOO = Path(__file__).parents[1] / "zoo"


def shipped_models() -> list[str]:
    """Names of the shipped latent diffusion models, which ``lab.load`` takes."""
    return [name for name in _names() if "first_stage" in read_json(ZOO / name / "config.json")]


def shipped_first_stages() -> list[str]:
    """Names of the shipped autoencoders."""
    return [name for name in _names() if name not in shipped_models()]


def _names() -> list[str]:
    return sorted(path.parent.name for path in ZOO.glob(f"*/{MANIFEST}"))
