"""Folders of mapped arrays: the same rows as their source, in bounded memory, whole or refused by name."""

import json
import mmap
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lowerbound.data import Data, check_shards, conversion, convert, load, mapped, scanning
from lowerbound.data.engine import Cells
from lowerbound.data.mapped import Lazy, expected, rows_of
from lowerbound.errors import BadOption, DataFormat, DataMissing, DataRange, DataShape, LowerboundError, OutputExists
from lowerbound.files import manifest
from lowerbound.files.checking import MANIFEST, manifest_text

X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
NUMBERS, WORDS = "0123456789", ("red", "green", "blue")


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows there are, they stay on disk."""
    monkeypatch.setattr(mapped, "COPIED", 0)


def _csv(path: Path) -> Any:
    file = path / "t.csv"
    file.write_text("a;c;d;e\n" + "".join(f"{i % 7},5;{'xyz'[i % 3]};2024-01-{i % 28 + 1:02};{i * 31 % 64}\n"
                                          for i in range(200)) + ";;2024-02-01;3\n")  # fmt: skip
    return file


def _parquet(path: Path) -> Any:
    engine = pytest.importorskip("duckdb", reason="needs the extra 'tables'")
    file = str(path / "t.parquet")
    with engine.connect() as connection:
        connection.execute(f"copy (select i * 0.25 as v, i % 3 = 0 as b, ['p', 'q'][i % 2 + 1] as c from"
                           f" range(99) t(i)) to '{file}' (format parquet)")  # fmt: skip
    return file


def _npy(path: Path) -> Any:
    np.save(path / "x.npy", X)
    return path / "x.npy"


def _npz(path: Path) -> Any:
    np.savez(path / "x.npz", x=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8), y=[1, 0, 1, 2])
    return str(path / "x.npz")


def _pictures(path: Path) -> Any:
    image = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
    for i, name in enumerate(("cats/a", "cats/b", "dogs/c")):
        (path / name).parent.mkdir(exist_ok=True)
        image.fromarray(np.full((5, 6, 3), 80 * i + 15, np.uint8)).save(path / f"{name}.png")
    return path


SOURCES: dict[str, Callable[[Path], Any]] = {
    "csv": _csv, "parquet": _parquet, "npy": _npy, "npz": _npz, "pictures": _pictures, "digits": lambda path: "digits",
    "array": lambda path: X[:, None, :, None].astype(np.float64), "data": lambda path: load(X).with_split(test=20),
    "ints": lambda path: Data(np.arange(12).reshape(6, 2), mask=np.arange(12).reshape(6, 2) % 5 > 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("copied", [0, 1 << 20])
def test_the_same_rows_as_of_the_source(kind: str, copied: int, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(mapped, "COPIED", copied)
    monkeypatch.setattr(conversion, "BLOCK", 200)
    monkeypatch.setattr(scanning, "CELLS", 50)
    (folder := tmp_path / "source").mkdir()
    source = SOURCES[kind](folder)
    wanted, made = load(source), convert(source, tmp_path / "out")
    again = load(tmp_path / "out")
    assert made.fingerprint == again.fingerprint
    for data in (made, again):
        assert np.array_equal(data.values(dtype=np.float64), wanted.values(dtype=np.float64))
        assert (data.mask is None) == (wanted.mask is None)
        assert data.mask is None or np.array_equal(np.asarray(data.mask), np.asarray(wanted.mask))
        for name in ("unit", "schema", "columns", "label_names", "factor_names", "shape"):
            assert getattr(data, name) == getattr(wanted, name), name
        for name in ("labels", "factors"):
            found, right = (np.asarray(getattr(one, name), float) for one in (data, wanted))
            assert np.array_equal(found, right, equal_nan=True), name
        assert (data.split is None) == (wanted.split is None)
        assert data.split is None or np.array_equal(data.split.test, wanted.split.test)  # type: ignore[union-attr]
    assert check_shards(tmp_path / "out")["rows"] == wanted.rows


def test_a_table_of_every_kind(every_kind: tuple[Path, str], tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs the extra 'tables'")
    path, said = every_kind
    wanted, made = load(path, columns=said), convert(path, tmp_path / "out", columns=said)
    assert made.schema == wanted.schema and np.array_equal(made.x, wanted.x)
    labelled = convert(path, tmp_path / "labelled", columns=said, labels="sex")
    assert labelled.label_names == ("f", "m") and "sex" not in labelled.columns
    again = load(path, columns=said, labels="sex")
    assert np.array_equal(np.asarray(labelled.labels), np.asarray(again.labels))


def _long(path: Path, last: str = "3") -> Path:
    """2,000 rows: one that counts, a rare word, a rare extreme, and a cell at the end."""
    pytest.importorskip("duckdb", reason="needs the extra 'tables'")
    rows = [f"{i},{'xy'[i % 2]},{i * 7 % 13}.5,{i * 5 % 9}" for i in range(2000)]
    rows[1001] = "1001,rare,-400.25,4"
    (path / "t.csv").write_text("n,word,v,k\n" + "\n".join(rows) + f"\n2000,x,1.5,{last}\n")
    return path / "t.csv"


def test_few_rows_tell_the_kinds_and_all_rows_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _long(tmp_path)
    wanted = load(path)
    monkeypatch.setattr(scanning, "LOOKED", 100)
    monkeypatch.setattr(scanning, "CELLS", 300)
    made = convert(path, tmp_path / "out")
    assert made.schema == wanted.schema and np.array_equal(made.x, wanted.x)
    assert made.schema is not None and made.schema.dropped == {"n": "like an id: it counts the rows"}


def test_what_does_not_fit_its_kind_is_refused_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _long(tmp_path, last="2.5")
    monkeypatch.setattr(scanning, "LOOKED", 100)
    monkeypatch.setattr(scanning, "CELLS", 300)
    with pytest.raises(DataRange, match=r"rows from 2,000, row 0, column 'k': a count.*found 2.5"):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert convert(path, tmp_path / "out", columns="k=real; n=drop").x[-1, 2] == 2.5
    with pytest.raises(DataFormat, match=r"row 2000, column 'k'.*found 'many'"):
        convert(_long(tmp_path, last="many"), tmp_path / "other")


def test_rows_that_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "BLOCK", 64)
    pairs = (([i, i + 1], WORDS[i % 3]) for i in range(3000))
    made = convert(pairs, tmp_path / "pairs")
    assert made.label_names == ("blue", "green", "red") and made.labels is not None
    assert made.x[2999].tolist() == [2999, 3000] and made.labels[:3].tolist() == [2, 1, 0]
    pictures = convert((np.full((3, 4), 0.5) for _ in range(7)), tmp_path / "pictures")
    assert pictures.shape == (1, 3, 4) and pictures.rows == 7
    with pytest.raises(DataFormat, match=r"items from 2,0\d\d: rows differ in type: found float64, expected int64"):
        convert(([i] if i < 2050 else [0.5] for i in range(3000)), tmp_path / "late")
    with pytest.raises(DataShape, match="no rows"):
        convert(iter([]), tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs", "pictures"]


def test_holes_and_what_is_not_finite(tmp_path: Path, on_disk: None) -> None:
    x = X.copy()
    x[250, 2] = np.nan
    with pytest.raises(DataMissing, match="row 250, column 2"):
        convert(x, tmp_path / "out")
    made = convert(x, tmp_path / "out", missing="nan")
    assert made.mask is not None and not made.mask[250, 2] and made.mask[:].sum() == x.size - 1
    assert made.x[250].tolist() == [*x[250, :2].tolist(), 0.0, x[250, 3]]
    with pytest.raises(DataMissing, match="1 cells"):
        load(tmp_path / "out", missing="error")
    x[7, 1] = np.inf
    with pytest.raises(DataRange, match="row 7, column 1"):
        convert(x, tmp_path / "infinite", missing="nan")


def test_another_type(tmp_path: Path) -> None:
    assert convert(X.astype(np.float64), tmp_path / "a", dtype="float32").x.dtype == np.float32
    with pytest.raises(DataRange, match="row 1, column 0"):
        convert(np.array([[1.0], [1e300]]), tmp_path / "b", dtype="float32")
    with pytest.raises(BadOption, match="'int8', expected float32 or float64"):
        convert(X, tmp_path / "b", dtype="int8")


def test_memory_is_that_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(1 << 15, 16))  # 4 MiB
    monkeypatch.setattr(conversion, "BLOCK", 1 << 16)
    tracemalloc.start()
    try:
        convert(x, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "BLOCK", 160 * 16)
    told: list[tuple[int, int | None]] = []
    convert(X, tmp_path / "a", progress=lambda done, of: told.append((done, of)))
    assert told == [(160, 300), (300, 300)]


def test_what_breaks_off_leaves_nothing_and_harms_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield from X[:50]
        raise KeyboardInterrupt

    convert(X, tmp_path / "out")
    (left := tmp_path / ".tmp-out-999999999-1-0123abcd").mkdir()  # by a process that is dead
    (left / "x.bin").write_bytes(b"half")
    with pytest.raises(KeyboardInterrupt):
        convert(broken(), tmp_path / "out", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert check_shards(tmp_path / "out")["rows"] == 300


def test_nothing_is_written_over_unasked(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("keep")
    convert(X, tmp_path / "out")
    with pytest.raises(OutputExists, match="overwrite it with force"):
        convert(X[:9], tmp_path / "out")
    for force in (False, True):
        with pytest.raises(OutputExists, match="Choose another place"):
            convert(X, tmp_path / "other", force=force)
    for source in (str(tmp_path / "out"), load(tmp_path / "out")):
        with pytest.raises(BadOption, match="into itself"):
            convert(source, tmp_path / "out", force=True)
    assert convert(X[:9], tmp_path / "out", force=True).rows == 9


@pytest.mark.parametrize(("option", "value"), [("query", "select 1"), ("key", "x"), ("columns", "a=real")])
def test_options_of_no_use_are_refused(option: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=f"{option} is of no use here"):
        convert(X, tmp_path / "out", **{option: value})  # type: ignore[arg-type]
    convert(X, tmp_path / "out")
    with pytest.raises(BadOption, match="labels is of no use here"):
        load(tmp_path / "out", labels=np.zeros(300))


def _cut(folder: Path) -> None:
    (folder / "x.bin").write_bytes((folder / "x.bin").read_bytes()[:-4])


def _newer(folder: Path) -> None:
    _rewrite(folder, lambda facts: {**facts, "format": 2})


def _longer(folder: Path) -> None:
    _rewrite(folder, lambda facts: {**facts, "arrays": {"x": {"type": "<f4", "shape": [10**12, 4]}}})


def _rewrite(folder: Path, change: Callable[[Any], Any]) -> None:
    """Other facts, under a manifest that says so."""
    import hashlib

    text = json.dumps(change(json.loads((folder / "data.json").read_text()))).encode()
    (folder / "data.json").write_bytes(text)
    table = manifest(folder) | {"data.json": {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}}
    (folder / MANIFEST).write_bytes(manifest_text(table))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_cut, "x.bin: 4796 bytes instead of 4800"),
        (_newer, "data.json: of a newer format: found 2, expected at most 1. Upgrade"),
        (_longer, "x.bin: length and shape disagree: found 4,800 bytes, expected 16,000,000,000,000"),
        (lambda folder: (folder / "x.bin").unlink(), "x.bin: missing"),
        (lambda folder: (folder / MANIFEST).unlink(), f"{MANIFEST}: missing"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), f"{MANIFEST}: not as it was written"),
        (lambda folder: (folder / "data.json").write_text("{" + " " * 700), "data.json: "),
    ],
)
def test_damage_is_named(harm: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    convert(X, tmp_path / "out")
    harm(tmp_path / "out")
    with pytest.raises(DataFormat) as error:
        load(tmp_path / "out")
    assert says in str(error.value)


def test_a_flipped_bit_is_found_when_asked_for(tmp_path: Path) -> None:
    convert(X, tmp_path / "out")
    content = bytearray((tmp_path / "out" / "x.bin").read_bytes())
    content[1000] ^= 1
    (tmp_path / "out" / "x.bin").write_bytes(content)
    with pytest.raises(DataFormat, match=r"x\.bin: other contents"):
        check_shards(tmp_path / "out")


def test_whatever_the_facts_say_only_our_errors_come_out(tmp_path: Path) -> None:
    convert(X, tmp_path / "out", labels=np.arange(300) % 2)
    whole = json.loads((tmp_path / "out" / "data.json").read_text())
    for key in whole:
        values: list[Any] = [None, [], {}, "x", -1, 1e400, {"x": 3}]
        for value in values:
            _rewrite(tmp_path / "out", lambda facts, key=key, value=value: {**whole, key: value})  # type: ignore[misc]
            with suppress(LowerboundError):
                load(tmp_path / "out")


def test_rows_of_a_file_are_read_when_asked_for(tmp_path: Path, on_disk: None) -> None:
    data = convert(X, tmp_path / "out")
    index = np.random.default_rng(1).permutation(300)[:60]
    some, wanted = data.take(index), X[index]
    assert isinstance(some.x, Lazy) and some.rows == 60 and some.source == ""
    for key in (3, -1, slice(5, 20, 3), np.array([4, 4, 0]), [1, 2], wanted[:, 0] > 0):
        assert np.array_equal(some.x[key], wanted[key])
    assert np.array_equal(some.x[:, 2], wanted[:, 2]) and np.array_equal(some.x[2:9, [0, 3]], wanted[2:9, [0, 3]])
    assert np.array_equal(some.take([7, 1]).x, wanted[[7, 1]]) and np.array_equal(some.take(slice(2, 5)).x, wanted[2:5])
    assert isinstance(some.take([7, 1]).x, Lazy) and np.array_equal(np.asarray(some.x), wanted)
    assert type(rows_of(data.x, slice(2, 5))).__name__ == "Mapped", "neighbours are a view"
    assert data.x.sha256 and not data.x[:5].sha256 and not some.x.sha256


def test_rows_chosen_twice_keep_what_they_stand_for(tmp_path: Path, on_disk: None) -> None:
    x = np.where(np.eye(300, 4) > 0, np.nan, X)
    data = convert(x, tmp_path / "out", missing="nan").take(np.arange(0, 300, 2)).take([0, 5, 1])
    assert isinstance(data.x, Lazy) and data.mask is not None
    assert np.array_equal(data.x[:], np.where(np.isnan(x), 0, x)[[0, 10, 2]])
    assert np.array_equal(data.mask[:], ~np.isnan(x)[[0, 10, 2]])


def test_blocks_of_the_engine_may_come_in_any_order() -> None:
    found = {"row": np.array([2, 0, 1]), "c0": np.ma.masked_array([5.0, 3.0, 4.0], [False, True, False])}
    engine: Any = SimpleNamespace(execute=lambda query: SimpleNamespace(fetchnumpy=lambda: found))
    (values,) = scanning._numbers(engine, [Cells("v", "v")], slice(0, 3))
    assert np.array_equal(values, [np.nan, 4.0, 5.0], equal_nan=True)


class _Pages(mmap.mmap):
    """A mapping that remembers what was asked of it."""

    def madvise(self, option: int, start: int = 0, length: int = 0) -> None:
        wishes.append((option, start, length))


wishes: list[tuple[int, int, int]] = []


def test_what_will_be_wanted_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(256 * 4096))
    with (tmp_path / "x.bin").open("rb") as file:
        pages = _Pages(file.fileno(), 0, access=mmap.ACCESS_READ)
    x = np.frombuffer(pages, np.uint8).reshape(1024, 1024)
    base: Any = SimpleNamespace(_mmap=pages, ctypes=x.ctypes, strides=x.strides)
    wishes.clear()
    expected(base, 6, 300)  # rows of 1 KiB, pages of 4
    assert [(start, start + length) for _, start, length in wishes] == [
        (4096, 4096 + mapped.WISH), (4096 + mapped.WISH, 4096 + 2 * mapped.WISH), (4096 + 2 * mapped.WISH, 301 * 1024)
    ]  # fmt: skip
    assert {option for option, *_ in wishes} == {mmap.MADV_WILLNEED}
    wishes.clear()
    lazy = Lazy(x, np.array([8, 9, 700]))
    lazy.base = base
    expected(lazy, 0, 1)
    assert wishes == [(mmap.MADV_WILLNEED, 8192, 2048)]


def test_the_summary_spares_a_look_and_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lowerbound.data.check import SUPPORTS, check_values, fitting, known_to_fit

    monkeypatch.setattr(mapped, "COPIED", 0)
    for i, x in enumerate((X, np.abs(X) + 1, (X > 0) * 1.0, np.full((9, 2), 0.5), np.arange(6).reshape(3, 2))):
        data, names = convert(x, tmp_path / str(i)), {name: name for name in SUPPORTS}
        assert fitting(data, names) == fitting(Data(x), names)
        for name in SUPPORTS:
            assert known_to_fit(data, name) <= (name in fitting(Data(x), names))
        assert known_to_fit(data, "real") and not known_to_fit(Data(x), "real")
    with pytest.raises(DataRange, match="row 0, column 1"):
        check_values(load(tmp_path / "0"), "gamma", "positive")
