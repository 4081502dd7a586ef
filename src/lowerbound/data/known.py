"""The data sets known by name: where they are, how to tell that they are whole, whose they are."""

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lowerbound.data.arrays import make, typed
from lowerbound.data.counts import read_annotation, read_counts
from lowerbound.data.download import Progress, checksum, fetch
from lowerbound.data.formats import damage_named, read_idx, read_mat, read_npz
from lowerbound.data.kinds import Raw, RawTable
from lowerbound.data.source import Data, Split
from lowerbound.data.tables import read_csv
from lowerbound.errors import DataFormat, DataNotFound


@dataclass(frozen=True)
class File:
    """A file of a data set: its path below the data folder, checksum, and the address of its folder if published."""

    path: str
    sha256: str = ""
    md5: str = ""
    folder: str = ""
    needed: bool = True

    @property
    def url(self) -> str:
        """The published address, or empty."""
        return self.folder + self.path.rpartition("/")[2] if self.folder else ""


@dataclass(frozen=True)
class Known:
    """A data set: its files, licence and citation, how to read it, its rows, and the hash of its values alone."""

    files: tuple[File, ...]
    licence: str
    citation: str
    read: Callable[[dict[str, Path]], Data]
    rows: int
    fingerprint: str = ""


def open_known(name: str, *, download: bool = False, progress: Progress | None = None) -> Data:
    """The data set ``name``: from the folder LOWERBOUND_DATA, else the cache, else downloaded if that is asked for.

    Raises:
        DataNotFound: it is on this machine in neither place and ``download`` is False or no address is known.
        DataFormat: a file with another checksum. DownloadFailed: see `fetch`.
    """
    known = KNOWN[name]
    paths = {file.path: path for file in known.files if (path := _locate(name, file, download, progress)) is not None}
    for file in known.files:
        if file.path in paths:
            _check(file, paths[file.path])
    with damage_named(next(iter(paths.values()), Path(name))):
        data = replace(known.read(paths), name=name, source=name)
    found = Data(data.x).fingerprint if known.fingerprint else ""
    if found != known.fingerprint:
        raise DataFormat(
            "not the published values",
            where=", ".join(map(str, paths.values())),
            found=found,
            expected=known.fingerprint,
        )
    return data


def at_hand(name: str) -> bool:
    """Whether the files of a known data set are on this machine (they are not read).

    >>> at_hand("digits")
    True
    """
    return all(_found(file) is not None for file in KNOWN[name].files if file.needed)


def cache_folder() -> Path:
    """Where downloads go: LOWERBOUND_CACHE, else ``lowerbound`` in XDG_CACHE_HOME, else in ``~/.cache``."""
    own = os.environ.get("LOWERBOUND_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowerbound"


def _locate(name: str, file: File, download: bool, progress: Progress | None) -> Path | None:
    found, places = _found(file), _places(file)
    if found is not None or not file.needed:
        return found
    if download and file.url:
        return fetch(file.url, places[-1], sha256=file.sha256 or None, md5=file.md5 or None, progress=progress)
    how = f"Or allow the download: lowerbound data fetch {name}, or load('{name}', download=True)." if file.url else ""
    raise DataNotFound(
        f"{name} is not on this machine",
        where=" or ".join(map(str, places)),
        mend=f"Set LOWERBOUND_DATA to a folder that holds {file.path}. {how}".strip(),
    )


def _places(file: File) -> list[Path]:
    shared = os.environ.get("LOWERBOUND_DATA")
    return ([Path(shared) / file.path] if shared else []) + [cache_folder() / file.path]


def _found(file: File) -> Path | None:
    return next((place for place in _places(file) if place.is_file()), None)


def _check(file: File, path: Path) -> None:
    kind, wanted = ("sha256", file.sha256) if file.sha256 else ("md5", file.md5)
    found = checksum(path, kind) if wanted else ""
    if found != wanted:
        raise DataFormat(
            f"wrong {kind}: damaged, or another file",
            where=str(path),
            found=f"{found} ({path.stat().st_size} bytes)",
            expected=wanted,
            mend="Delete it and fetch it again.",
        )


def _digits(paths: dict[str, Path]) -> Data:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.data / 16).astype(np.float32).reshape(-1, 8, 8)
    return make(x, name="digits", labels=bunch.target)


def _idx(paths: dict[str, Path]) -> Data:
    """Both halves of an MNIST-like set, training rows first, with the published test rows as test."""
    images, labels, test_images, test_labels = (read_idx(path) for path in paths.values())
    rows = np.arange(len(images) + len(test_images))
    split = Split(rows[: len(images)], rows[:0], rows[len(images) :])
    x = np.concatenate([images, test_images])
    return make(x, name="mnist", labels=np.concatenate([labels, test_labels]), split=split)


def _frey(paths: dict[str, Path]) -> Data:
    (path,) = paths.values()
    x = read_mat(path, "ff")["x"].T.reshape(-1, 28, 20)
    return make(x, name="frey-face").with_split(how="time")  # a film: neighbours are nearly the same picture


def _olivetti(paths: dict[str, Path]) -> Data:
    path, *table = paths.values()
    x = read_mat(path, "faces")["x"].T.reshape(400, 64, 64).transpose(0, 2, 1)
    index = np.arange(400)
    factors = np.stack([index // 10, index % 10], axis=1)
    names: tuple[str, ...] = ("subject", "shot")
    if table:
        read = typed(read_csv(table[0]), columns="index=real; subject=count; shot=count; glasses=count")
        factors, names = read.x[:, 1:].astype(np.int64), read.columns[1:]
        if not np.array_equal(read.x[:, 0], index):
            raise DataFormat("the column index does not count the 400 pictures", where=str(table[0]))
    return make(x, name="olivetti", labels=index // 10, factors=factors, factor_names=names)


def _dsprites(paths: dict[str, Path]) -> Data:
    (path,) = paths.values()
    names, read = ("shape", "scale", "orientation", "x", "y"), read_npz(path, "imgs")
    return make(name="dsprites-grid", factor_names=names, unit=1.0, x=read["x"], factors=read["factors"])


def _cells(paths: dict[str, Path]) -> Data:
    path, table = paths.values()
    read, line = read_counts(path), read_annotation(table, "cell_line_demuxlet")
    return make(read["x"], name="sc-mixology", labels=[line[cell] for cell in read["rows"]], columns=read["columns"])


def _adult(paths: dict[str, Path]) -> Data:
    """Both parts, training rows first, with the published test rows as test: their lines end with a dot."""
    train, (_, *test) = (path.read_text().split("\n") for path in paths.values())
    data = _typed("adult", [*train, *(line.rstrip(".") for line in test)], _ADULT, "education-num=ordinal")
    rows = np.arange(data.rows)
    return replace(data, split=Split(rows[:32561], rows[:0], rows[32561:]))


def _cars(paths: dict[str, Path]) -> Data:
    (path,) = paths.values()
    return _typed("auto-imports", path.read_text().split("\n"), _CARS)


def _typed(name: str, lines: Iterable[str], names: str, columns: str = "") -> Data:
    """A table of comma-separated lines without names."""
    cells = zip(*filter(None, csv.reader(lines, skipinitialspace=True)), strict=True)
    raws = (_texts(column, texts) for column, texts in zip(names.split(), cells, strict=True))
    return typed(RawTable(name, tuple(raws)), columns=columns)


def _texts(name: str, cells: tuple[str, ...]) -> Raw:
    texts, codes = np.unique(cells, return_inverse=True)
    return Raw(name, codes, tuple(texts.tolist()))


_ADULT = (
    "age workclass fnlwgt education education-num marital-status occupation relationship race sex capital-gain "
    "capital-loss hours-per-week native-country income"
)
_CARS = (
    "symboling normalized-losses make fuel-type aspiration num-of-doors body-style drive-wheels engine-location "
    "wheel-base length width height curb-weight engine-type num-of-cylinders engine-size fuel-system bore stroke "
    "compression-ratio horsepower peak-rpm city-mpg highway-mpg price"
)
_HALVES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
_MNIST = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
_FASHION = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
_ROWEIS = "https://cs.nyu.edu/~roweis/data/"
_MIXOLOGY = "https://raw.githubusercontent.com/LuyiTian/sc_mixology/7d00ffb0bd043467f365a9358d7312f294f13c9f/data/csv/"

KNOWN = {
    "digits": Known(
        (), "CC BY 4.0", "Alpaydin, Kaynak 1998, Optical Recognition of Handwritten Digits, UCI", _digits, 1797
    ),
    "mnist": Known(
        tuple(
            File(f"mnist/{half}-ubyte.gz", sha256=sha, folder="https://ossci-datasets.s3.amazonaws.com/mnist/")
            for half, sha in zip(_HALVES, _MNIST, strict=True)
        ),
        "none stated; often given as CC BY-SA 3.0",
        "LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition",
        _idx,
        70000,
    ),
    "fashion-mnist": Known(
        tuple(
            File(
                f"fashion-mnist/{half}-ubyte.gz",
                md5=md5,
                folder="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            )
            for half, md5 in zip(_HALVES, _FASHION, strict=True)
        ),
        "MIT",
        "Xiao, Rasul, Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747",
        _idx,
        70000,
    ),
    "frey-face": Known(
        (
            File(
                "frey/frey_rawface.mat",
                "265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64",
                folder=_ROWEIS,
            ),
        ),
        "none stated",
        "Roweis, Saul 2000, Nonlinear dimensionality reduction by locally linear embedding",
        _frey,
        1965,
    ),
    # Saves of the same faces differ in their bytes, so it is the values that are checked.
    "olivetti": Known(
        (File("olivetti/olivettifaces.mat", folder=_ROWEIS), File("olivetti/attributes.csv", needed=False)),
        "none stated; AT&T Laboratories Cambridge asks for credit",
        "Samaria, Harter 1994, Parameterisation of a stochastic model for human face identification",
        _olivetti,
        400,
        fingerprint="abffccc1852ea1ac0c767fbfd40754d5851ce85f7b46e31d1e51b50d16c79a23",
    ),
    "dsprites-grid": Known(
        (File("dsprites/dsprites_grid46080.npz", "4f42cd3909aa134aeecc225a05ed6cbc3e7753f63a15e379073e847606b8dd4f"),),
        "Apache-2.0",
        "Matthey, Higgins, Hassabis, Lerchner 2017, dSprites; every 4th orientation and 2nd position",
        _dsprites,
        46080,
    ),
    "adult": Known(
        (
            File("tables/adult.data", "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"),
            File("tables/adult.test", "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"),
        ),
        "CC BY 4.0",
        "Kohavi 1996, Scaling up the accuracy of naive-Bayes classifiers: a decision-tree hybrid, KDD; UCI",
        _adult,
        48842,
    ),
    "auto-imports": Known(
        (File("tables/auto_imports.csv", "bf76211fc32da0a927334e690e8f59e42c6b11ee281f9bed8a6ecdfe4bd70f31"),),
        "CC BY 4.0",
        "Schlimmer 1987, Automobile, UCI; the 201 cars that have a price",
        _cars,
        201,
    ),
    "sc-mixology": Known(
        (
            File(
                "counts/sc_celseq2_5cl_p1.count.csv.gz",
                "577324d2fd427685144420536489202c68ae98cb22f5825c40c8cf41c5fe0a07",
                folder=_MIXOLOGY,
            ),
            File(
                "counts/sc_celseq2_5cl_p1.metadata.csv.gz",
                "a6f5b206f891113162d2c9af27860c187a04ccd8848f9bc29be97dfa95eeadc4",
                folder=_MIXOLOGY,
            ),
        ),
        "MIT",
        "Tian et al. 2019, Benchmarking single cell RNA-sequencing analysis pipelines by mixture controls",
        _cells,
        297,
    ),
}
