"""Everything random derives from (seed, purpose, step, position) in training, (seed, purpose, row, draw) in evaluation.

No global generator is read or written. Noise is drawn in float32 and cast, so that the precision of a run does not
change which noise it sees.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

DRAWS_PER_BLOCK = 256
BLOCKS = 64  # of neighbouring rows, mixed at a time where the rows of an epoch are not all mixed


@dataclass(frozen=True)
class Draw:
    """Noise that a step asks for: its shape per row and its law."""

    shape: tuple[int, ...]
    law: Literal["normal", "uniform"] = "normal"


def key(*path: int | str) -> int:
    """A 63-bit seed that depends on every element of the path.

    >>> key(0, "posterior", 3) == key(0, "posterior", 3), key(0, "posterior", 3) == key(0, "posterior", 4)
    (True, False)
    """
    digest = hashlib.blake2b(repr(path).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*path: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by the path."""
    made = torch.Generator(device)
    made.manual_seed(key(*path))
    return made


@contextmanager
def scope(*path: int | str) -> Iterator[None]:
    """For code that can only use torch's global generator: seeded by the path inside, and put back as it was after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(key(*path))
        yield


def fill(draw: Draw, rows: int, source: torch.Generator) -> torch.Tensor:
    """Noise of shape (rows, *draw.shape), float32, on the generator's device."""
    out = torch.empty(rows, *draw.shape, dtype=torch.float32, device=source.device)
    return out.normal_(generator=source) if draw.law == "normal" else out.uniform_(generator=source)


def step_noise(
    seed: int, step: int, requests: Mapping[str, Draw], rows: int, device: torch.device | str, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Noise of one training step, indexed by position in the global batch: name -> (rows, *shape)."""
    return {
        purpose: fill(draw, rows, generator(seed, purpose, step, device=device)).to(dtype)
        for purpose, draw in requests.items()
    }


def permutation(rows: int, seed: int, epoch: int, mixed: int = 0) -> torch.Tensor:
    """The order of the rows in an epoch, int64 (rows,).

    Args:
        rows: how many there are.
        seed: of the run.
        epoch: its number.
        mixed: 0: any order of all rows. Else blocks of neighbours, a 64th of so many each, come in random order, and
            the rows of 64 of them at a time are mixed: what is read at any time lies in 64 stretches of a file.
    """
    source = generator(seed, "order", epoch)
    if not 0 < mixed < rows:
        return torch.randperm(rows, generator=source)
    size, order, done = max(1, mixed // BLOCKS), torch.empty(rows, dtype=torch.int64), 0
    starts = torch.randperm(-(-rows // size), generator=source) * size
    for some in starts.split(BLOCKS):
        places = (some[:, None] + torch.arange(size)).flatten()
        places = places[places < rows]
        order[done : done + len(places)] = places[torch.randperm(len(places), generator=source)]
        done += len(places)
    return order


def row_digests(x: torch.Tensor, mask: torch.Tensor | None = None) -> list[int]:
    """A 63-bit digest per row of x (rows, *shape): what evaluation noise is keyed by. Masked cells do not count."""
    flat = x.detach().to("cpu", torch.float32).flatten(1)
    if mask is not None:
        seen = mask.detach().to("cpu").flatten(1)
        flat = torch.cat([torch.where(seen, flat, 0.0), seen.float()], dim=1)
    rows = (flat + 0.0).contiguous().numpy()  # + 0.0 turns -0.0, which compares equal to 0.0, into it
    return [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little") >> 1 for row in rows]


def row_noise(seed: int, purpose: str, digests: Sequence[int], draw: Draw, start: int, stop: int) -> torch.Tensor:
    """Evaluation noise of draws ``start`` to ``stop``, (stop - start, rows, *shape), float32 on the CPU.

    A row's noise depends on the seed, the purpose, the row's digest and the draw's number alone.
    """
    out = torch.empty(stop - start, len(digests), *draw.shape)
    source = torch.Generator()
    base = key(seed, purpose)
    for first, last in _blocks(start, stop):
        for row, digest in enumerate(digests):
            source.manual_seed((base ^ digest ^ (first * 0x9E3779B97F4A7C15)) & (2**63 - 1))
            block = fill(draw, last - first, source)
            low, high = max(first, start), min(last, stop)
            out[low - start : high - start, row] = block[low - first : high - first]
    return out


def _blocks(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Draws in blocks of 1, 1, 2, 4, ... 256, 256, ...: the few draws of an ELBO do not pay for those of log p(x)."""
    first = 0
    while first < stop:
        last = first + min(max(first, 1), DRAWS_PER_BLOCK)
        if last > start:
            yield first, last
        first = last
