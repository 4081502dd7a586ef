"""Where arithmetic runs and in which precision; the only module that sets anything process-wide, and puts it back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lowerbound.errors import ConfigError

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
