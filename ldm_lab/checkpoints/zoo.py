"""The models that come with the package, and how a name or a path becomes a folder."""

from pathlib import Path

from ldm_lab.core.errors import CheckpointFormatError
from ldm_lab.core.io import MANIFEST, read_json

ZOO = Path(__file__).parents[1] / "zoo"
TEXT_MODEL = "-text"  # behind the name of a world


def shipped_models() -> list[str]:
    """Names of the shipped latent diffusion models, which ``lab.load`` takes."""
    return [name for name in _names() if "first_stage" in read_json(ZOO / name / "config.json")]


def shipped_first_stages() -> list[str]:
    """Names of the shipped autoencoders."""
    return sorted(set(_names()) - set(shipped_models()))


def locate_model(name: str | Path) -> Path:
    """The folder of a latent diffusion model, given a shipped name, the world of a shipped text model, or a path.

    Args:
        name: Such as "shapes-text", or "shapes" for short.

    Raises:
        CheckpointFormatError: If it is none of them.
    """
    shipped = shipped_models()
    text_model = f"{name}{TEXT_MODEL}"
    return _locate(text_model if text_model in shipped else name, "model", shipped)


def locate_first_stage(name: str | Path) -> Path:
    """The folder of an autoencoder, given a shipped name or a path.

    Raises:
        CheckpointFormatError: If it is neither.
    """
    return _locate(name, "first stage", shipped_first_stages())


def _names() -> list[str]:
    return sorted(path.parent.name for path in ZOO.glob(f"*/{MANIFEST}"))


def _locate(name: str | Path, what: str, shipped: list[str]) -> Path:
    if str(name) in shipped:
        return ZOO / str(name)
    if Path(name).is_dir():
        return Path(name)
    names = ", ".join(shipped) or "none"
    raise CheckpointFormatError(f"there is no {what} {str(name)!r:.200}; give a folder or a shipped name ({names})")
