"""Where arithmetic runs and in which precision; the only module that sets anything process-wide, and puts it back."""

import ctypes
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch.distributions import Distribution

from lowerbound.errors import ConfigError

Item = TypeVar("Item")
Result = TypeVar("Result")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.float32, "fp64": torch.float64}


def pick(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is the accelerator if there is one.

    Raises:
        ConfigError: a device that this machine does not have.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if not present.get(name.split(":")[0], False):
        here = ", ".join(kind for kind, there in present.items() if there)
        raise ConfigError("not on this machine", where="train.device", found=f"'{name}'", expected=f"auto, {here}")
    return torch.device(name)


def storage(precision: str) -> torch.dtype:
    """The type that weights and sums are kept in; bf16 is for matrix products only."""
    return PRECISIONS[precision]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use ``count`` threads (0 = as it is) for the block, then put the number back."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """What the work makes of each item, in order, on as many threads as torch has, each with one thread to itself.

    Where items are independent this loses nothing to sharing small products among threads. The work must be one that
    threads may do at the same time; after an error or an interrupt no further item is begun.
    """
    count = torch.get_num_threads()
    if count == 1 or len(items) < 2:
        yield from map(work, items)
        return
    with threads(1), ThreadPoolExecutor(count) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def fast_products() -> bool:
    """Whether float32 products go to oneDNN's own kernels, which follows from the processor alone.

    torch's default library takes a slower path on processors with AVX-512 that Intel did not make. The setting that
    selects oneDNN would use bf16 where the processor has AMX; there it is left alone.
    """
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_f")) and not found.get("amx_tile") and torch.backends.mkldnn.is_available()


@contextmanager
def kernels() -> Iterator[None]:
    """Use the fast float32 products and keep freed memory for the block, then put the settings back."""
    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # torch makes it as it is imported
    before = setting.fp32_precision
    if fast_products():
        setting.fp32_precision = "bf16"  # a request: without AMX it is answered with float32 arithmetic
    try:
        with _memory_kept():
            yield
    finally:
        setting.fp32_precision = before


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's numbers
KEPT, USUAL = (2**31 - 1, 2**30), (2**26, 2**25)  # bytes; usual: what glibc itself arrives at where blocks are large
_blocks_open = [0]


@cache
def _glibc() -> Any:
    """The C library, where it is one that gives large freed blocks back to the system at once; else None."""
    try:
        library = ctypes.CDLL(None)
        return library if library.gnu_get_libc_version and library.mallopt else None
    except (AttributeError, OSError, TypeError):
        return None


@contextmanager
def _memory_kept() -> Iterator[None]:
    """Every step frees and asks again for the same large tensors; given back each time, each page of them faults."""
    _blocks_open[0] += 1
    _thresholds(KEPT)
    try:
        yield
    finally:
        _blocks_open[0] -= 1
        if not _blocks_open[0]:
            _thresholds(USUAL)


def _thresholds(values: tuple[int, int]) -> None:
    library = _glibc()
    if library is not None:
        library.mallopt(M_TRIM_THRESHOLD, values[0])
        library.mallopt(M_MMAP_THRESHOLD, values[1])


COMPILE_SECONDS = 12.0  # a cold compilation on two cores; measured 7 to 10 s
EAGER_FLOPS = 1e11  # a second, of a small net on one or two cores; measured 0.8e11 to 2e11
COMPILED_GAIN = 0.08  # share of an eager step that compiling saves; measured 0.08 to 0.2 for fully connected nets


def compiling_pays(work: float) -> bool:
    """Whether a compiled step saves more than compiling costs, over ``work`` floating-point operations of training.

    It follows from sizes and never from timing, so that a run and its resumption decide alike.
    """
    compilers = ("c++", "g++", "clang++")
    return work / EAGER_FLOPS * COMPILED_GAIN > COMPILE_SECONDS and any(map(shutil.which, compilers))


def compiled(function: Callable[..., Result]) -> Callable[..., Result]:
    """``torch.compile`` with what it changes in the whole process, the validation of distributions, put back."""
    with _validation_kept():
        fast = torch.compile(function, dynamic=False)

    def call(*given: Any) -> Result:
        with _validation_kept():
            return fast(*given)

    return call


@contextmanager
def _validation_kept() -> Iterator[None]:
    before = Distribution._validate_args
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)
