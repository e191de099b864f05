"""What this machine can do at best: a large matrix product and a large copy, in fp32."""

from dataclasses import dataclass

import torch

from benchmarks.timing import stopwatch

GEMM_SIZE = 1536
COPY_ELEMENTS = 1 << 25  # 128 MB, more than any cache
ATTEMPTS = 7


@dataclass(frozen=True)
class Roofline:
    """The best of several attempts, with the threads that torch uses now."""

    gflops: float  # 10⁹ floating point operations a second
    copy_gb: float  # 10⁹ bytes read and written a second


def measure_roofline(*, gemm_size: int = GEMM_SIZE, copy_elements: int = COPY_ELEMENTS) -> Roofline:
    """Measure both; takes about two seconds."""
    a, b = torch.randn(2, gemm_size, gemm_size).unbind()
    product = torch.empty_like(a)
    source, target = torch.randn(2, copy_elements).unbind()
    gemm = _best(lambda: torch.mm(a, b, out=product))
    copy = _best(lambda: target.copy_(source))
    return Roofline(gflops=2 * gemm_size**3 / gemm / 1e9, copy_gb=8 * copy_elements / copy / 1e9)


def _best(function) -> float:
    function()
    return min(stopwatch(function, repeats=1)() for _ in range(ATTEMPTS))
