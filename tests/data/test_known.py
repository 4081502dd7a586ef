"""The sets known by name: what comes out is what was published, and nothing else comes out."""

import shutil
from functools import cache as cache_results
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from lowerbound.data import Data, check_values, known_names, load
from lowerbound.data.known import KNOWN, at_hand, cache_folder
from lowerbound.errors import BadOption, DataFormat, DataNotFound

SHAPES = {
    "digits": (1797, 1, 8, 8),
    "dsprites-grid": (46080, 1, 64, 64),
    "frey-face": (1965, 1, 28, 20),
    "mnist": (70000, 1, 28, 28),
    "olivetti": (400, 1, 64, 64),
}


known = cache_results(load)  # reading them is most of the time these tests take


@pytest.fixture(params=sorted(SHAPES))
def data(request: pytest.FixtureRequest) -> Data:
    if request.param != "digits":
        request.getfixturevalue("data_folder")
    return known(request.param)


def test_shape_name_and_source(data: Data) -> None:
    assert data.x.shape == SHAPES[data.name]
    assert data.rows == KNOWN[data.name].rows and at_hand(data.name)
    assert data.source == data.name
    assert data.unit == (1 / 255 if data.name in ("mnist", "frey-face", "olivetti") else 1.0)
    check_values(data, "continuous_bernoulli", "unit")


def test_digits() -> None:
    data = known("digits")
    assert data.x.dtype == np.float32
    assert set(np.unique(data.x * 16)) == set(range(17))
    assert data.label_names == tuple("0123456789")
    assert data.labels is not None and data.labels[:5].tolist() == [0, 1, 2, 3, 4]


def test_mnist_is_the_published_split(data_folder: Path) -> None:
    data = known("mnist")
    assert data.split is not None and data.split.how == "given"
    assert (data.train.rows, data.validation.rows, data.test.rows) == (60000, 0, 10000)
    assert data.train.labels is not None and data.test.labels is not None
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.train.labels).tolist() == counts
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train.x.mean() == pytest.approx(33.318421, abs=1e-6)
    kept = data.with_split(validation=10000)
    assert (kept.train.rows, kept.validation.rows, kept.test.rows) == (50000, 10000, 10000)
    assert kept.test.fingerprint == data.test.fingerprint


def test_frey_face_is_a_film(data_folder: Path) -> None:
    data = known("frey-face")
    values = data.values(dtype=np.float64)
    assert (round(values.mean(), 4), round(values.std(), 4)) == (0.6057, 0.1761)
    assert data.split is not None and data.split.how == "time"
    assert data.split.test.tolist() == list(range(1965 - 196, 1965))
    steps = np.abs(np.diff(values, axis=0)).mean()
    apart = np.abs(values[100:] - values[:-100]).mean()
    assert steps < apart / 2


def test_olivetti_is_upright_and_has_subjects(data_folder: Path) -> None:
    data = known("olivetti")
    np.testing.assert_allclose(data.values()[0, 0, 0, :3] * 255 / 242, [0.30991736, 0.3677686, 0.41735536], rtol=1e-6)
    assert data.labels is not None and np.array_equal(data.labels, np.arange(400) // 10)
    assert data.factor_names == ("subject", "shot", "glasses")
    assert data.factors is not None and data.factors[:, 2].sum() == 119
    assert data.with_split(0.25, 0.25, how="group:subject").test.rows == 100


def test_dsprites_grid_is_a_grid(data_folder: Path) -> None:
    data = known("dsprites-grid")
    assert data.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert data.factors is not None
    index = np.ravel_multi_index(tuple(data.factors.T.astype(int)), (3, 6, 10, 16, 16))
    assert np.array_equal(index, np.arange(46080))
    check_values(data, "bernoulli", "binary")
    rows, columns = (np.array([np.argwhere(data.x[i, 0])[:, axis].mean() for i in range(256)]) for axis in (0, 1))
    assert np.corrcoef(rows, data.factors[:256, 4])[0, 1] > 0.999  # y counts down from the top
    assert np.corrcoef(columns, data.factors[:256, 3])[0, 1] > 0.999


def test_olivetti_without_the_table_of_glasses(data_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "olivetti").mkdir(parents=True)
    shutil.copy(data_folder / "olivetti/olivettifaces.mat", cache / "olivetti")
    monkeypatch.delenv("LOWERBOUND_DATA")
    data = load("olivetti")
    assert data.factor_names == ("subject", "shot")
    assert data.factors is not None and data.factors[57].tolist() == [5, 7]


def test_another_save_of_the_same_faces(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = scipy.io.loadmat(data_folder / "olivetti/olivettifaces.mat")["faces"]
    monkeypatch.setenv("LOWERBOUND_DATA", str(tmp_path))
    (tmp_path / "olivetti").mkdir()
    scipy.io.savemat(tmp_path / "olivetti/olivettifaces.mat", {"faces": faces})
    assert np.array_equal(load("olivetti").x, known("olivetti").x)
    faces[0, 0] += 1
    scipy.io.savemat(tmp_path / "olivetti/olivettifaces.mat", {"faces": faces})
    with pytest.raises(DataFormat, match="not the published values"):
        load("olivetti")


@pytest.mark.parametrize("name", ["frey-face", "olivetti"])
def test_one_wrong_byte_is_found(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file = KNOWN[name].files[0].path
    (tmp_path / file).parent.mkdir()
    content = bytearray((data_folder / file).read_bytes())
    content[-100_000] ^= 1
    (tmp_path / file).write_bytes(content)
    monkeypatch.setenv("LOWERBOUND_DATA", str(tmp_path))
    with pytest.raises(DataFormat, match=Path(file).name):
        load(name)


def test_a_set_that_is_not_here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWERBOUND_DATA", str(tmp_path))
    for name, file in (
        ("mnist", "mnist/train-images-idx3-ubyte.gz"),
        ("dsprites-grid", KNOWN["dsprites-grid"].files[0].path),
    ):
        assert not at_hand(name)
        with pytest.raises(DataNotFound) as error:
            load(name)
        text = str(error.value)
        assert f"{tmp_path}/{file} or {cache}/{file}" in text and "LOWERBOUND_DATA" in text
        assert ("lowerbound data fetch mnist" in text) == ("download=True" in text) == (name == "mnist")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOWERBOUND_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/lowerbound")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/lowerbound")


def test_every_set_says_whose_it_is() -> None:
    assert set(known_names()) == {*SHAPES, "adult", "auto-imports", "fashion-mnist", "sc-mixology"}
    for each in KNOWN.values():
        assert each.licence and each.citation
        assert all(file.sha256 or file.md5 or each.fingerprint or not file.needed for file in each.files)
    assert KNOWN["mnist"].files[2].url == "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz"


def test_names() -> None:
    with pytest.raises(DataNotFound, match="Did you mean 'mnist'"):
        load("mnits")
    with pytest.raises(DataNotFound, match="Known sets: adult, auto-imports, digits, dsprites-grid"):
        load("nothing like it")
    with pytest.raises(BadOption, match="labels or mask"):
        load("digits", labels=[1])
    with pytest.raises(BadOption, match="download"):
        load([[1.0]], download=True)
