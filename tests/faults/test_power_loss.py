"""The power fails after any call: what was not brought to the disk is lost, in whole or in part, in any order."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from lowerbound.checkpoints import Store
from lowerbound.errors import CheckpointDamaged

Image = tuple[tuple[str, bytes | None], ...]
LOSSES: dict[str, Callable[["File"], bytes]] = {
    "dropped": lambda file: file.safe,
    "torn": lambda file: file.live[: (len(file.safe) + len(file.live)) // 2],
    "zeros": lambda file: file.safe + bytes(len(file.live) - len(file.safe)),
    "kept": lambda file: file.live,
}


@dataclass
class File:
    live: bytes = b""
    safe: bytes = b""


@dataclass
class Folder:
    """Names that are on the disk, and the changes of names that may not be; each is made whole or not at all."""

    safe: dict[str, Any] = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)

    def names(self, survived: slice = slice(None)) -> dict[str, Any]:
        names = dict(self.safe)
        for change in self.pending[survived]:
            names |= change
        return {name: node for name, node in names.items() if node is not None}


class Machine:
    """What calls to a disk make of it, and what is left of that when the power fails."""

    def __init__(self, top: Path) -> None:
        self.top, self.root, self.handles = top, self._copy(top), {}

    def _copy(self, path: Path) -> Any:
        if path.is_file():
            return File(path.read_bytes(), path.read_bytes())
        return Folder({inner.name: self._copy(inner) for inner in path.iterdir()})

    def _node(self, path: Path) -> Any:
        node: Any = self.root
        for name in path.relative_to(self.top).parts:
            node = node.names()[name]
        return node

    def _name(self, path: Path, node: Any, former: str | None = None) -> None:
        self._node(path.parent).pending.append({path.name: node} | ({former: None} if former else {}))

    def call(self, name: str, result: Any, *args: Any) -> None:
        match name:
            case "open":
                if args[1] & os.O_CREAT:
                    self._name(args[0], File())
                self.handles[result] = self._node(args[0])
            case "write":
                self.handles[args[0]].live += args[1]
            case "fsync":
                node = self.handles[args[0]]
                if isinstance(node, File):
                    node.safe = node.live
                else:
                    node.safe, node.pending = node.names(), []
            case "mkdir":
                self._name(args[0], Folder())
            case "rename":
                assert args[0].parent == args[1].parent
                self._name(args[1], self._node(args[0]), former=args[0].name)
            case "unlink" | "rmdir":
                self._name(args[0], None)

    def after_loss(self) -> Iterator[Image]:
        longest = max(len(folder.pending) for folder in self._folders(self.root))
        some = [slice(count) for count in range(longest + 1)] + [slice(start, None) for start in range(longest)]
        for lose in LOSSES.values():
            for top, below in product(some, repeat=2):
                yield tuple(self._image(self.root, "", top, below, lose))

    def _folders(self, folder: Folder) -> Iterator[Folder]:
        yield folder
        for node in folder.names().values():
            if isinstance(node, Folder):
                yield from self._folders(node)

    def _image(
        self, folder: Folder, path: str, top: slice, below: slice, lose: Any
    ) -> Iterator[tuple[str, bytes | None]]:
        for name, node in sorted(folder.names(top).items()):
            yield f"{path}{name}", None if isinstance(node, Folder) else lose(node)
            if isinstance(node, Folder):
                yield from self._image(node, f"{path}{name}/", below, below, lose)


def build(image: Image, folder: Path) -> None:
    folder.mkdir()
    for name, content in image:
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


def images(top: Path, log: list[tuple[Any, ...]], machine: Machine) -> Iterator[tuple[int, Image]]:
    """Every state that a loss of power after each of the calls can leave, once."""
    seen: set[Image] = set()
    for number, entry in enumerate([("nothing", None), *log]):
        machine.call(*entry)
        for image in set(machine.after_loss()) - seen:
            seen.add(image)
            yield number, image


def record(folder: Path, watch: Any, steps: Any, keep: int, action: Callable[[Store], object], saved: int = 2) -> Any:
    """The calls of an action on a store with steps 1 and 2, and the machine before them."""
    watch(lambda *_: None)
    folder.mkdir()
    store = Store(folder, keep)
    for step in range(1, saved + 1):
        steps.save(store, step)
    log: list[tuple[Any, ...]] = []
    machine = Machine(folder)

    def note(name: str, result: Any, *args: Any) -> None:
        log.append((name, result, *(bytes(arg) if isinstance(arg, memoryview) else arg for arg in args)))

    watch(lambda *_: None, note)
    action(store)
    return log, machine


def survivors(found: Iterable[tuple[int, Image]], scratch: Path, steps: Any, keep: int) -> list[float]:
    """The mark of the newest checkpoint in every state."""
    marks = []
    for place, (_, image) in enumerate(found):
        build(image, scratch / f"{place}")
        marks.append(steps.mark(Store(scratch / f"{place}", keep).latest()))
    return marks


@pytest.mark.parametrize("keep", [1, 2])
def test_a_loss_of_power_costs_one_interval_at_most(tmp_path: Path, watch: Any, steps: Any, keep: int) -> None:
    log, machine = record(tmp_path / "run", watch, steps, keep, partial(steps.save, step=3))
    found = list(images(tmp_path / "run", log, machine))
    assert len(found) > 20
    assert set(survivors(found, tmp_path, steps, keep)) == {2, 3}


def test_after_the_save_it_is_there_for_good(tmp_path: Path, watch: Any, steps: Any) -> None:
    log, machine = record(tmp_path / "run", watch, steps, 2, partial(steps.save, step=3))
    for entry in log:
        machine.call(*entry)
    left = [(0, image) for image in set(machine.after_loss())]
    assert set(survivors(left, tmp_path, steps, 2)) == {3}


def test_the_first_is_there_for_good_in_folders_that_are_new(tmp_path: Path, watch: Any, steps: Any) -> None:
    def first(store: Store) -> None:
        steps.save(Store(store.folder / "new" / "checkpoints"), 1)

    log, machine = record(tmp_path / "run", watch, steps, 2, first, saved=0)
    for entry in log:
        machine.call(*entry)
    for place, image in enumerate(set(machine.after_loss())):
        build(image, tmp_path / f"{place}")
        assert steps.mark(Store(tmp_path / f"{place}" / "new" / "checkpoints").latest()) == 1


def test_a_step_written_again_is_the_old_or_the_new_one_or_the_one_before(
    tmp_path: Path, watch: Any, steps: Any
) -> None:
    log, machine = record(tmp_path / "run", watch, steps, 2, partial(steps.save, step=2, mark=2.5))
    assert set(survivors(images(tmp_path / "run", log, machine), tmp_path, steps, 2)) == {1, 2, 2.5}


def test_without_syncing_the_model_shows_a_loss(tmp_path: Path, watch: Any, steps: Any) -> None:
    log, machine = record(tmp_path / "run", watch, steps, 1, partial(steps.save, step=3))
    lazy = [entry for entry in log if entry[0] != "fsync"]
    with pytest.raises((CheckpointDamaged, AssertionError)):
        survivors(images(tmp_path / "run", lazy, machine), tmp_path, steps, 1)
