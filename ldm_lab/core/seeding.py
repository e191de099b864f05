"""Randomness as an argument: every random number is a function of named integers, never of a shared stream.

Noise is drawn for each sample alone, on the CPU, in fp32, and then moved. So seed 7 is the same picture in any batch
and on any device, and a training run resumes exactly because step ``k`` draws from ``(seed, "purpose", k)`` and
nothing else.
"""

import hashlib
import operator
from collections.abc import Sequence

import torch
from torch import Tensor


def derive_seed(*parts: int | str) -> int:
    """Mix integers and words into one seed of 63 bits; equal parts give equal seeds on every platform.

    Integers of every kind (int, NumPy's, a 0-d tensor) count as their value; 7 and "7" are different parts.
    """
    text = "\x1f".join(f"str:{part}" if isinstance(part, str) else f"int:{operator.index(part)}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A fresh CPU generator for the stream that ``parts`` name."""
    return torch.Generator("cpu").manual_seed(derive_seed(*parts))


def sample_noise(shape: Sequence[int], seeds: Sequence[int], *, stream: int | str = "start") -> Tensor:
    """Standard normal noise, one independent draw for each seed.

    Args:
        shape: Shape of one sample, without the batch. (C, h, w)
        seeds: One seed for each sample.
        stream: Which draw of the seed: ``"start"`` for z_T, the step number for the noise of a stochastic sampler.

    Returns:
        Noise on the CPU in fp32. (B, C, h, w)
    """
    return torch.stack([torch.randn(tuple(shape), generator=generator("noise", seed, stream)) for seed in seeds])
