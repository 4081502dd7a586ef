"""Ten million rows from a folder of mapped arrays: memory, rate beside memory, and what is left with a small cache."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]
Record = Callable[[str, str, str], None]
ROWS = (100_000, 1_000_000, 10_000_000)
LIMIT = 1_200 << 20  # bytes for a process and its share of the cache; the file has 2.56 GB
SCRIPT = Path(__file__).parents[2] / "bench/scale.py"


def _run(*words: object, before: Callable[[], None] | None = None) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1] / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=before)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Path]]:
    """A folder for each number of rows, gone afterwards: together they have 2.8 GB."""
    place = tmp_path_factory.mktemp("scale")
    for rows in ROWS:
        _run("make", place / str(rows), rows)
    yield {rows: place / str(rows) for rows in ROWS}
    for file in place.rglob("*.bin"):
        file.unlink()


def test_memory_and_time_do_not_grow_with_the_rows(folders: dict[int, Path], record: Record) -> None:
    """Anonymous memory of a whole fit at its largest, and processor time a row of training, mapped and in memory."""
    fits = {rows: _run("fit", folders[rows], 20) for rows in ROWS}
    rates = {rows: _run("rates", folders[rows], 40) for rows in ROWS}
    beyond = [fits[rows]["beyond"] / 2**20 for rows in ROWS]
    micro = [1e6 / rates[rows]["mapped"]["cpu"] for rows in ROWS]
    record("fit from mapped rows x 64: RssAnon beyond 8 bytes a row, MiB, at 1e5, 1e6, 1e7 rows", "< 1536, flat",
           ", ".join(f"{value:.0f}" for value in beyond))  # fmt: skip
    record("the same: processor time a row, microseconds", "grows by < 15 %", ", ".join(f"{t:.1f}" for t in micro))
    found = rates[ROWS[-1]]["ratio"]
    record("rate from mapped rows / rate from memory, 1e7 rows, warm cache, chunk by chunk in turn", "> 0.85",
           f"{found['cpu']} (processor), {found['wall']} (clock)")  # fmt: skip
    assert max(beyond) < 1536 and max(beyond) - min(beyond) < 256
    assert micro[-1] < 1.15 * min(micro) and found["cpu"] > 0.85


@contextmanager
def _small(limit: int) -> Iterator[Callable[[], None]]:
    """What puts a process into a control group with so much memory."""
    own = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    old = next((path for _, kind, path in own if "memory" in kind.split(",")), None)
    place = Path("/sys/fs/cgroup" + (f"/memory{old}" if old is not None else own[-1][2])) / f"lowerbound-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        pytest.skip(f"needs a control group of its own: {error}")
    try:
        try:
            (place / ("memory.max" if old is None else "memory.limit_in_bytes")).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"needs a control group that limits memory: {error}")

        def join() -> None:
            (place / "cgroup.procs").write_text(str(os.getpid()))

        yield join
    finally:
        place.rmdir()


def _forget(path: Path) -> None:
    """Take a file out of the cache: pages belong to the group that read them first."""
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def test_with_a_cache_smaller_than_the_file(folders: dict[int, Path], record: Record) -> None:
    """The same steps with enough memory and with too little for the file, in turn."""
    folder, warm, block = folders[ROWS[-1]], list[dict[str, Any]](), list[dict[str, Any]]()
    with _small(LIMIT) as join:
        for _ in range(2):
            warm.append(_run("steps", folder, 40, "full"))
            _forget(folder / "x.bin")
            block.append(_run("steps", folder, 40, "block", before=join))
        _forget(folder / "x.bin")
        full = _run("steps", folder, 40, "full", before=join)
    best, few = max(one["wall"] for one in warm), max(one["wall"] for one in block)
    read = sum(one["read"] for one in block) / sum(one["taken"] for one in block)
    said = f"{few / best:.2f} (rows/s by the clock {few:,} of {best:,}; {read:.2f} bytes read a byte used)"
    record("block shuffle, 1.2 GB of memory for 2.56 GB of rows / warm", "> 0.5", said)
    record("full shuffle, the same", "-", f"{full['wall'] / best:.2f} ({full['read'] / full['taken']:.1f} bytes)")
    assert few > 0.5 * best
