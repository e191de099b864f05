"""The models that come with the package."""

from pathlib import Path

from ldm_lab.core.errors import CheckpointFormatError
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


def locate_first_stage(name: str | Path) -> Path:
    """The folder of an autoencoder, given a shipped name or a path.

    Raises:
        CheckpointFormatError: If it is neither.
    """
    if str(name) in shipped_first_stages():
        return ZOO / str(name)
    if Path(name).is_dir():
        return Path(name)
    shipped = ", ".join(shipped_first_stages()) or "none"
    raise CheckpointFormatError(f"there is no first stage {str(name)!r}; give a folder or a shipped one ({shipped})")
