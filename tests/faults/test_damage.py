"""A checkpoint that is not as it was written is never used in silence."""

import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from lowerbound import files
from lowerbound.checkpoints import Store, compare
from lowerbound.errors import CheckpointDamaged, CheckpointMismatch, CheckpointNotSaved, DataChanged, RunError

NAMES = ["MANIFEST.json", "model.safetensors", "optimiser.safetensors", "state.json"]


@pytest.fixture
def store(tmp_path: Path, steps: Any) -> Store:
    """Steps 1 and 2."""
    store = Store(tmp_path / "checkpoints")
    steps.save(store, 1)
    steps.save(store, 2)
    return store


def path(store: Store, step: int, name: str = "") -> Path:
    return store.folder / f"step-{step:08d}" / name


def assert_seen(store: Store, steps: Any, what: object) -> None:
    """Asked for by name it is refused, with no other in its place; else the one before is used, and that is said."""
    for name in (2, path(store, 2)):
        with pytest.raises(CheckpointDamaged, match="step-00000002: damaged"):
            store.load(name)
    found = store.latest()
    assert (found.step, steps.mark(found)) == (1, 1), what
    assert [line.split(" (")[0] for line in found.damaged] == [f"checkpoint {path(store, 2)} is damaged"]
    assert found.damaged[0].endswith(f"using previous {path(store, 1)}")


def test_a_sound_one_is_used_and_nothing_is_said(store: Store, steps: Any) -> None:
    found = store.latest()
    assert (found.step, found.path, found.damaged, steps.mark(found)) == (2, path(store, 2), (), 2)
    assert steps.mark(store.load(1)) == 1
    assert steps.mark(store.load(str(path(store, 1)))) == 1
    assert sorted(os.listdir(found.path)) == NAMES


def test_every_flipped_bit_is_seen(store: Store, steps: Any) -> None:
    draw = random.Random(0)
    for number in range(200):
        file = path(store, 2, NAMES[number % 4])
        whole = file.read_bytes()
        place, bit = draw.randrange(len(whole)), draw.randrange(8)
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        assert_seen(store, steps, (file.name, place, bit))
        file.write_bytes(whole)
    assert steps.mark(store.latest()) == 2


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_seen(store: Store, steps: Any, name: str) -> None:
    file = path(store, 2, name)
    whole = file.read_bytes()
    for part in range(64):
        file.write_bytes(whole[: len(whole) * part // 64])
        assert_seen(store, steps, part)
    file.write_bytes(whole + b"\n")
    assert_seen(store, steps, "longer")


def to_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def to_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def to_link(file: Path) -> None:
    file.symlink_to(file.rename(file.parents[2] / file.name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("harm", [Path.unlink, to_folder, to_pipe, to_link])
def test_what_is_missing_or_no_file_is_seen(
    store: Store, steps: Any, name: str, harm: Callable[[Path], object]
) -> None:
    harm(path(store, 2, name))
    assert_seen(store, steps, name)


@pytest.mark.parametrize("name", NAMES)
def test_files_of_another_step_are_seen(store: Store, steps: Any, name: str) -> None:
    shutil.copy(path(store, 1, name), path(store, 2, name))
    assert_seen(store, steps, name)


def test_steps_whose_names_were_swapped_are_seen(store: Store) -> None:
    path(store, 1).rename(path(store, 3))
    found = store.latest()
    assert (found.step, len(found.damaged)) == (2, 1)
    assert "of step 1" in found.damaged[0]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "1",
        "null",
        '{"../x": {}}',
        '{"a": 1}',
        "[" * 100_000,
        '{"a/b": {"bytes": 1, "sha256": ""}}',
        '{"a": {"bytes": "1", "sha256": ""}}',
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with suppress(RecursionError):
        text = json.dumps(json.loads(text), indent=1) + "\n"
    (tmp_path / files.MANIFEST).write_text(text)
    with pytest.raises(CheckpointDamaged, match="not as it was written"):
        files.read_verified(tmp_path)


def test_contents_that_do_not_make_sense_are_damage(tmp_path: Path, steps: Any) -> None:
    store = Store(tmp_path)
    steps.save(store, 1)
    for step, content in enumerate([{"state.json": b"[]"}, {"state.json": b"{", "x": b""}, {"a": b""}], start=2):
        files.write_folder(tmp_path, f"step-{step:08d}", content)
    good = b'{"format": 1, "step": 9, "state": {}}'
    files.write_folder(tmp_path, "step-00000009", {"state.json": good, "model.safetensors": b"no header"})
    found = store.latest()
    assert (found.step, len(found.damaged)) == (1, 4)


def test_all_damaged_is_an_error_and_none_is_not(store: Store, tmp_path: Path) -> None:
    for step in (1, 2):
        path(store, step, files.MANIFEST).unlink()
    with pytest.raises(CheckpointDamaged, match="every checkpoint is damaged") as caught:
        store.latest()
    assert "step-00000001" in str(caught.value) and "step-00000002" in str(caught.value)
    assert Store(tmp_path / "none").latest() is None


def test_a_newer_format_is_not_passed_over(store: Store) -> None:
    content = json.dumps({"format": 2, "step": 3, "state": {}})
    files.write_folder(store.folder, "step-00000003", {"state.json": content})
    with pytest.raises(RunError, match="newer format") as caught:
        store.latest()
    assert not isinstance(caught.value, CheckpointDamaged)


def test_a_step_that_is_not_there(store: Store) -> None:
    with pytest.raises(RunError, match=r"no such checkpoint.*steps 1, 2"):
        store.load(7)


def test_what_is_wrong_with_files_is_listed(tmp_path: Path) -> None:
    folder = files.write_folder(tmp_path, "a", {"b": b"12", "c": "é", "d": lambda sink: sink.write(b"4")})
    (folder / "foreign.txt").write_text("does not matter")
    assert files.verify(folder) == []
    assert files.read_verified(folder) == {"b": b"12", "c": "é".encode(), "d": b"4"}
    (folder / "b").write_bytes(b"21")
    (folder / "d").unlink()
    assert files.verify(folder) == ["b: other contents", "d: missing"]
    assert files.verify(folder, hashes=False) == ["d: missing"]


def test_a_damaged_one_is_written_again_and_older_ones_go(store: Store, steps: Any) -> None:
    path(store, 2, "state.json").write_bytes(b"")
    steps.save(store, 2, 2.5)
    assert steps.mark(store.latest()) == 2.5
    steps.save(store, 3)
    path(store, 3, "state.json").write_bytes(b"")
    steps.save(store, 4)  # 2 is kept: 3 does not count
    assert [found.name for found in store.paths()] == [f"step-0000000{step}" for step in (2, 3, 4)]
    steps.save(store, 5)
    assert [found.name for found in store.paths()] == [f"step-0000000{step}" for step in (4, 5)]


def test_nothing_of_others_is_removed(store: Store, steps: Any, tmp_path: Path) -> None:
    path(store, 1, "notes.txt").write_text("mine")
    others = [".tmp-mine", ".tmp-x-1-2", "step-1", "best", f".tmp-a-{os.getpid()}-x-00000000"]
    for name in others:
        (store.folder / name).mkdir()
    (store.folder / "step-00000000").symlink_to(tmp_path)
    for step in (3, 4, 5):
        steps.save(store, step)
    assert path(store, 1, "notes.txt").exists() and steps.mark(store.load(1)) == 1
    assert {*others, "step-00000000"} <= set(os.listdir(store.folder))
    path(store, 5, "notes.txt").write_text("mine")
    with pytest.raises(CheckpointNotSaved, match="not ours"):
        shutil.rmtree(path(store, 4))
        (store.folder / "step-00000004").write_text("mine")
        steps.save(store, 4)


def test_a_run_that_goes_on_from_an_older_one_is_not_overtaken(store: Store, steps: Any) -> None:
    (aside,) = store.rewind(1)
    assert steps.mark(store.latest()) == 1
    assert aside.name.startswith("set-aside-step-00000002-") and steps.mark(store.load(aside)) == 2
    assert store.rewind(1) == []


def test_a_disk_that_returns_something_else_is_noticed(store: Store, steps: Any, watch: Any) -> None:
    def spoil(name: str, result: Any, *args: Any) -> None:
        if name == "rename" and args[1].name == "step-00000003":
            (args[1] / "state.json").write_bytes(b"?")

    watch(lambda *_: None, spoil)
    with pytest.raises(CheckpointNotSaved, match=r"state\.json"):
        steps.save(store, 3)
    assert steps.mark(store.load(1)) == 1  # nothing was removed
    assert steps.mark(store.latest()) == 2


def test_every_kind_of_tensor_comes_back(tmp_path: Path) -> None:
    shared = torch.arange(12.0).reshape(3, 4)
    given = {
        "transposed": shared.T,
        "whole": shared,
        "tied": shared,
        "column": shared[:, 1],
        "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "counts": torch.tensor(2**62),
        "bytes": torch.arange(7, dtype=torch.uint8),
        "images": torch.rand(2, 3, 4, 5, generator=torch.Generator()).to(memory_format=torch.channels_last),
        "weight": torch.nn.Parameter(torch.ones(2)),
    }
    state = {"float": 0.1 + 0.2, "inf": float("inf"), "text": "ü\n\ud800", "big": 2**80, "list": [1, None, {"a": []}]}
    Store(tmp_path).save(1, {"model": given, "none": {}}, state)
    found = Store(tmp_path).latest()
    assert (found.state, found.tensors["none"]) == (state, {})
    for name, tensor in given.items():
        back = found.tensors["model"][name]
        assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(back, tensor) if name != "half" else back.isnan().tolist() == [False, True]
    assert safetensors.torch.load_file(found.path / "model.safetensors").keys() == given.keys()


CONFIG = {"seed": 0, "model": {"latent": 2, "encoder": {"name": "mlp", "hidden": [8, 8]}}, "train": {"epochs": 3}}


def test_another_configuration_is_refused_key_by_key() -> None:
    state = {"config": CONFIG, "fingerprint": "abc"}
    compare(state, json.loads(json.dumps(CONFIG)), "abc")
    other = {"seed": 0, "model": {"latent": 3, "encoder": {"name": "mlp", "hidden": (8, 9)}}, "train": {"epochs": 4}}
    with pytest.raises(CheckpointMismatch) as caught:
        compare(state, {**other, "new": True}, "abc", where="runs/a", but=("train.epochs",))
    assert caught.value.exit_code == 4
    assert caught.value.found.split("; ") == [
        "model.latent = 3 instead of 2",
        "model.encoder.hidden = [8, 9] instead of [8, 8]",
        "new = true instead of null",
    ]
    with pytest.raises(DataChanged, match="xyz"):
        compare(state, CONFIG, "xyz")
