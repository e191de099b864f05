"""Where the numbers are computed, and with which versions.

torch is imported inside the functions that ask it something, so that ``versions`` answers at once and even where torch
itself is broken.
"""

import os
import platform
from importlib import metadata
from typing import TYPE_CHECKING

from ldm_lab import __version__
from ldm_lab.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

DEVICE_VARIABLE = "LDM_LAB_DEVICE"
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")  # as torch names them on x86 and ARM
PACKAGES = ("torch", "torchvision", "diffusers", "accelerate", "safetensors", "tokenizers", "numpy", "pillow")


def choose_device(name: str = "auto") -> "torch.device":
    """The device to compute on.

    Args:
        name: ``"auto"`` takes the variable LDM_LAB_DEVICE if set, then a CUDA GPU, then Apple's GPU, then the CPU;
            any other name is taken as torch spells it, such as ``"cpu"`` or ``"cuda:1"``.

    Raises:
        ConfigError: If torch does not know the name or this machine lacks the device.
    """
    import torch

    if name == "auto":
        name = os.environ.get(DEVICE_VARIABLE, "auto")
    available = _available_devices()
    if name == "auto":
        return torch.device(available[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name!r}; choose one of auto, {', '.join(available)}") from error
    if device.type not in available or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"device {name!r} is not on this machine; choose one of auto, {', '.join(available)}")
    return device


def describe_device(device: "torch.device") -> str:
    """One line for people: what the device is and how large."""
    import torch

    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if device.type == "mps":
        return f"Apple GPU, {platform.machine()}"
    return f"CPU, {num_threads()} thread(s), {torch.backends.cpu.get_cpu_capability()}"


def multiplies_bf16(device: "torch.device") -> bool:
    """Whether bf16 pays there: a processor without instructions for it takes up to 200 times as long as for fp32."""
    import torch

    return device.type != "cpu" or any(torch.cpu.get_capabilities().get(name) for name in BF16_INSTRUCTIONS)


def num_threads() -> int:
    """Threads that torch uses on the CPU; sums come out bit for bit alike only where it is the same."""
    import torch

    return torch.get_num_threads()


def versions() -> dict[str, str]:
    """Python, the system, and the packages that shape results, as recorded beside every run and checkpoint."""
    found = {
        "ldm_lab": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    return found | {name: version for name in PACKAGES if (version := installed_version(name)) is not None}


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, without importing it; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _available_devices() -> list[str]:
    import torch

    found = [
        name
        for name, present in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
        if present
    ]
    return [*found, "cpu"]
