"""Paths, planes, attributes and maps of a latent space: what they must be, and that they refuse what cannot be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import lowerbound as lb
from lowerbound.errors import BadOption, DataError, DataMissing, DataShape, UnknownName
from lowerbound.tasks import latent
from lowerbound.tasks.arithmetic import shifted
from lowerbound.tasks.manifold import Density


@pytest.fixture(scope="module")
def run() -> lb.Run:
    """Linear: what is decoded halfway is halfway between what is decoded."""
    return lb.fit("digits", latent=3, recipe="pca", progress=False)


@pytest.fixture(scope="module")
def autoencoder() -> lb.Run:
    return lb.fit("digits", recipe="ae", latent=2, epochs=2, progress=False)


@pytest.fixture(scope="module")
def refitted(run: lb.Run) -> lb.Run:
    return lb.refit_prior(run, "mixture:components=3", steps=20)


def test_a_path_begins_and_ends_where_it_should(run: lb.Run) -> None:
    digits = lb.load("digits")
    codes = lb.encode(run, digits).astype(float)
    assert digits.labels is not None
    for path in ("linear", "spherical", "density"):
        found = lb.interpolate(run, [5, "label=3"], [1796, codes[7]], steps=7, path=path)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.codes[0, [0, -1]], codes[[5, 1796]], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.codes[1, 0], codes[digits.labels == 3].mean(0), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found.codes[1, -1], codes[7])
        assert found.values.shape == (2, 7, 1, 8, 8) and found.rows == ("row 5 → row 1796", "label=3 → code 1")
        np.testing.assert_allclose(found.values[0, -1], lb.decode(run, codes[[1796]])[0], atol=1e-5)
    middle = lb.interpolate(run, codes[:4], codes[4:8], steps=3).values
    np.testing.assert_allclose(middle[:, 1], (middle[:, 0] + middle[:, 2]) / 2, atol=1e-5)


def test_a_traversal_moves_one_dimension_over_the_prior(run: lb.Run) -> None:
    found = lb.traverse(run, steps=5, share=0.9)
    assert list(found.kl) == sorted(found.kl, reverse=True) and set(found.dimensions) == {0, 1, 2}
    for path, dimension in enumerate(found.dimensions):
        expected = np.zeros((5, 3))
        expected[:, dimension] = np.linspace(norm.ppf(0.05), norm.ppf(0.95), 5)
        np.testing.assert_allclose(found.codes[path], expected, atol=1e-12)
    one = lb.traverse(run, [2], steps=3, over="codes", row=4, data=run.rows())
    codes = lb.encode(run).astype(float)
    np.testing.assert_allclose(one.codes[0, :, :2], np.tile(codes[4, :2], (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(one.points[0, [0, -1]], np.quantile(codes[:, 2], [0.01, 0.99]), rtol=1e-5)


def test_the_factor_that_moves_a_dimension_is_named() -> None:
    rng = np.random.default_rng(0)
    size = rng.integers(0, 5, 400)
    x = np.stack([10.0 * size, rng.normal(size=400)], axis=1) @ np.array([[1.0, 1, 0], [0, 1, 1]])
    x += 0.1 * rng.normal(size=x.shape)
    data = lb.Data(x.astype(np.float32), factors=size[:, None], factor_names=("size",), name="sizes")
    found = lb.traverse(lb.fit(data, latent=2, recipe="pca", progress=False), data=data)
    assert found.names[0].startswith("size 9") or found.names[0] == "size 100%"
    assert found.names[1] == ""


def test_the_grid_holds_equal_shares_of_the_prior_and_runs_right_and_up(run: lb.Run) -> None:
    found = lb.manifold(run, side=6, dimensions=(2, 0))
    np.testing.assert_allclose(norm.cdf(found.across), (np.arange(6) + 0.5) / 6, atol=1e-9)
    np.testing.assert_allclose(found.codes[..., 2], np.tile(found.across, (6, 1)))
    np.testing.assert_allclose(found.codes[..., 0], np.tile(found.up[:, None], (1, 6)))
    assert (found.codes[..., 1] == 0).all() and found.names == ("z3", "z1")
    np.testing.assert_allclose(found.values[4, 1], lb.decode(run, found.codes[4, 1][None])[0], atol=1e-6)
    np.testing.assert_allclose(found.points, lb.encode(run, "digits")[:, [2, 0]], rtol=1e-4, atol=1e-4)
    lower, upper = found.ground.density[:, :5].mean(), found.ground.density[:, 35:45].mean()
    assert lower < upper, "thin at the edge"


def test_the_plane_of_the_principal_directions_holds_the_most_variance(run: lb.Run) -> None:
    found, codes = lb.manifold(run, side=4, plane="principal"), lb.encode(run, "digits").astype(float)
    values = np.linalg.eigvalsh(np.cov(codes.T, ddof=0))
    np.testing.assert_allclose(found.points.var(0), values[::-1][:2], rtol=1e-6)
    np.testing.assert_allclose(found.across, np.sqrt(values[-1]) * norm.ppf((np.arange(4) + 0.5) / 4), rtol=1e-6)
    assert found.over == "codes"
    through = lb.manifold(run, side=3, plane="principal", row=9)
    np.testing.assert_allclose(through.codes[1, 1], codes[9], rtol=1e-5)


def test_density_on_the_plane() -> None:
    rng = np.random.default_rng(1)
    means, covariance = rng.normal(size=(50, 2)), np.tile([[0.3, 0.1], [0.1, 0.2]], (50, 1, 1))
    density = Density.of(means, covariance)
    wide = covariance[0] + np.diag((0.5 * 50 ** (-1 / 6)) ** 2 * means.var(0))
    spots = rng.normal(size=(700, 2))
    exact = np.mean([multivariate_normal(mean, wide).pdf(spots) for mean in means], axis=0)
    np.testing.assert_allclose(density(spots), np.log(exact), rtol=1e-9)
    others = [np.mean([multivariate_normal(means[j], wide).pdf(means[i]) for j in range(50) if j != i]) for i in (0, 9)]
    np.testing.assert_allclose(density.others()[[0, 9]], np.log(others), rtol=1e-9)


def test_where_no_data_lie() -> None:
    """Two clusters: between and around them nothing; at them something."""
    rng = np.random.default_rng(2)
    sides = np.repeat([[-4.0, 0.0, 0.0], [4.0, 0.0, 0.0]], 300, axis=0)
    x = sides + rng.normal(size=(600, 3)) * [0.2, 0.2, 0.05]
    with pytest.raises(DataError, match="no planes"):
        lb.manifold(lb.fit(x, latent=1, recipe="pca", progress=False))
    plane = lb.manifold(lb.fit(x, latent=2, recipe="pca", progress=False), side=81, dimensions=(0, 1), data=x)
    places = [(np.abs(plane.up - b).argmin(), np.abs(plane.across - a).argmin()) for a, b in plane.points]
    assert np.mean([plane.inside[place] for place in places]) == pytest.approx(0.95, abs=0.03)
    assert not plane.inside[:, 40].any() and not plane.inside[0].any() and 0.3 < plane.empty < 0.9


def test_arithmetic_adds_the_vector(run: lb.Run) -> None:
    digits = run.rows(part="train")
    found = lb.arithmetic(run, "label=7", strengths=(-1, 0, 1), draws=20, show=5)
    codes = lb.encode(run, digits).astype(float)
    vector = codes[digits.labels == 7].mean(0) - codes[digits.labels != 7].mean(0)
    np.testing.assert_allclose(found.direction.vector, vector, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.codes[:, 2] - found.codes[:, 0], np.tile(2 * vector, (5, 1)), rtol=1e-4, atol=1e-4)
    assert found.response.shape == (len(found.numbers), 3) and found.values.shape == (5, 3, 1, 8, 8)
    assert not (lb.load("digits").labels[found.numbers] == 7).any()  # type: ignore[index]
    assert not set(found.numbers) & set(run.data.split.train)  # type: ignore[union-attr]
    assert found.rise > 0.1 and found.judge["mean"] > 0.9 and found.leakage == {}
    numbers = (lb.load("digits").labels == 7).astype(int)  # type: ignore[union-attr]
    np.testing.assert_array_equal(
        lb.arithmetic(run, numbers, strengths=(0,), draws=2).direction.vector, found.direction.vector
    )


def test_details_are_kept(run: lb.Run) -> None:
    rows = run.rows().take([4, 2])
    vector = np.array([0.5, -1.0, 0.2])
    kept, codes = shifted(run, rows, vector, np.array([0.0, 1.0]), details=True)
    plain, _ = shifted(run, rows, vector, np.array([0.0, 1.0]))
    np.testing.assert_allclose(kept[:, 0], rows.values(), atol=1e-5)
    assert np.abs(plain[:, 0] - rows.values()).max() > 0.1
    expected = (rows.values() + plain[:, 1] - plain[:, 0]).clip(0, 1)
    np.testing.assert_allclose(kept[:, 1], expected, atol=1e-5)
    np.testing.assert_allclose(codes[:, 1] - codes[:, 0], np.tile(vector, (2, 1)))


def test_what_is_measured_follows_the_strength(run: lb.Run) -> None:
    found = lb.arithmetic(run, "slant", strengths=(0, 1, 2), draws=5)
    assert found.measured is not None and found.unit == "slant (degrees)" and found.attribute.startswith("slant > ")
    assert (np.diff(np.median(found.measured, axis=0)) > 3).all()


def test_a_map_of_codes(run: lb.Run) -> None:
    from sklearn.decomposition import PCA

    found, codes = lb.embed(run), lb.encode(run).astype(float)
    pca = PCA(2).fit(codes)
    np.testing.assert_allclose(np.abs(found.points), np.abs(pca.transform(codes)), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.explained, pca.explained_variance_ratio_, rtol=1e-9)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.table()[:, 2:], np.c_[codes, lb.encode(run, variance=True)])
    assert found.names == ("map1", "map2", "z1", "z2", "z3", "variance1", "variance2", "variance3")
    assert found.colour is not None and found.colour.name == "label"


def test_neighbours_stay_neighbours_in_tsne(run: lb.Run) -> None:
    rows = run.rows().take(slice(0, 60))
    found = lb.embed(run, rows, method="tsne", perplexity=10, by=np.arange(60) / 7)
    np.testing.assert_array_equal(found.points, lb.embed(run, rows, method="tsne", perplexity=10).points)
    near = [np.argsort(np.linalg.norm(z[:, None] - z, axis=-1), axis=1)[:, 1:11] for z in (found.mean, found.points)]
    kept = np.mean([len(set(a) & set(b)) for a, b in zip(*near, strict=True)]) / 10
    assert kept > 0.5, "by chance 0.17"


def test_the_worst_the_best_and_the_corrupted(run: lb.Run) -> None:
    x, made = run.rows().values(), lb.reconstruct(run)
    error = ((x - made) ** 2).mean((1, 2, 3))
    worst, best = (lb.reconstructions(run, show=show, rows=5) for show in ("worst", "best"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(worst.numbers, np.argsort(-error, kind="stable")[:5])
    np.testing.assert_allclose(best.error, np.sort(error)[:5], rtol=1e-4)
    np.testing.assert_allclose(worst.values, made[worst.numbers], atol=1e-5)
    everything = lb.reconstructions(run, rows=None)
    assert len(everything) == 180 and everything.corrupted is None
    noisy = lb.reconstructions(run, corruption="gaussian:scale=0.5", rows=None)
    assert (noisy.corrupted - noisy.originals).std() == pytest.approx(0.5, rel=0.03)  # type: ignore[operator]
    np.testing.assert_allclose(noisy.values, lb.decode(run, lb.encode(run, noisy.corrupted)), atol=1e-4)
    again = lb.reconstructions(run, run.rows().take([3]), corruption={"name": "gaussian", "scale": 0.5})
    np.testing.assert_allclose(again.corrupted[0], noisy.corrupted[3], atol=1e-6)  # type: ignore[index]
    assert run.model.corruption is None


def test_an_autoencoder_and_a_refitted_prior(autoencoder: lb.Run, refitted: lb.Run, run: lb.Run) -> None:
    codes = lb.encode(autoencoder, "digits").astype(float)
    found = lb.manifold(autoencoder, side=5)
    np.testing.assert_allclose(found.across[2], codes[:, 0].mean(), rtol=1e-4)
    assert found.over == "codes" and np.isnan(lb.traverse(autoencoder).kl).all()
    one, other = (lb.sample(some, 400, temperature=1.0).codes.std(0) for some in (run, refitted))
    assert not np.allclose(one, other, rtol=0.01)
    cold = lb.sample(refitted, 400, temperature=0.1).codes
    np.testing.assert_allclose(cold.std(0), 0.1 * other, rtol=1e-3)
    assert lb.traverse(refitted, 2).values.shape == (2, 9, 1, 8, 8)
    assert lb.interpolate(refitted, 0, 1, path="density", steps=3).values.shape == (1, 3, 1, 8, 8)


TASKS: dict[str, Callable[[lb.Run], Any]] = {
    "interpolate": lambda run: lb.interpolate(run, [0, "label=2"], [5, 9], path="density", steps=4).values,
    "traverse": lambda run: lb.traverse(run, row=3).values,
    "manifold": lambda run: np.append(
        *(getattr(lb.manifold(run, side=5), name).ravel() for name in ("values", "inside"))
    ),
    "arithmetic": lambda run: lb.arithmetic(run, "label=1", draws=9).response,
    "embed": lambda run: lb.embed(run).table(),
    "reconstructions": lambda run: lb.reconstructions(run, show="worst", corruption="dropout").values,
}


@pytest.mark.parametrize("task", TASKS)
def test_the_answer_is_the_same_again_and_for_other_batches(
    run: lb.Run, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = TASKS[task](run)
    np.testing.assert_array_equal(TASKS[task](run), found)
    monkeypatch.setattr(latent, "EVALUATION_ROWS", 77)
    monkeypatch.setattr("lowerbound.tasks.reconstructions.EVALUATION_ROWS", 50)
    np.testing.assert_allclose(TASKS[task](run), found, rtol=1e-4, atol=1e-4)


NAN = np.array([0.0, np.nan, 0.0])
WRONG: list[tuple[Callable[[lb.Run], Any], type[Exception], str]] = [
    (lambda run: lb.interpolate(run, 0, 1, steps=1), BadOption, "steps"),
    (lambda run: lb.interpolate(run, 0, 1, path="curly"), UnknownName, "path 'curly'"),  # type: ignore[arg-type]
    (lambda run: lb.interpolate(run, 0, 1797), DataError, "1797"),
    (lambda run: lb.interpolate(run, "label=x", 1), UnknownName, "value of 'label' 'x'"),
    (lambda run: lb.interpolate(run, "colour=1", 1), UnknownName, "attribute 'colour'"),
    (lambda run: lb.interpolate(run, NAN, np.zeros(3)), DataMissing, "dimension 1"),
    (lambda run: lb.interpolate(run, np.zeros(2), np.zeros(2)), DataShape, "codes of another size"),
    (lambda run: lb.interpolate(run, [0, 1], [2]), DataShape, "2 starts, 1 ends"),
    (lambda run: lb.interpolate(run, [], []), DataShape, "no ends"),
    (lambda run: lb.interpolate(run, 1.5, 2), BadOption, "1.5"),  # type: ignore[arg-type]
    (lambda run: lb.traverse(run, steps=0), BadOption, "steps 0"),
    (lambda run: lb.traverse(run, share=1.0), BadOption, "share 1.0"),
    (lambda run: lb.traverse(run, 0), BadOption, "number of dimensions"),
    (lambda run: lb.traverse(run, [3]), BadOption, "dimension 3"),
    (lambda run: lb.traverse(run, over="moon"), UnknownName, "range 'moon'"),  # type: ignore[arg-type]
    (lambda run: lb.traverse(run, row=-1798), DataError, "no such row"),
    (lambda run: lb.manifold(run, side=1), BadOption, "side"),
    (lambda run: lb.manifold(run, plane="flat"), UnknownName, "plane 'flat'"),  # type: ignore[arg-type]
    (lambda run: lb.manifold(run, dimensions=(1, 1)), BadOption, "two of 0 to 2"),
    (lambda run: lb.manifold(run, dimensions=(0, 3)), BadOption, "two of 0 to 2"),
    (lambda run: lb.manifold(run, row=5000), DataError, "5000"),
    (lambda run: lb.manifold(run, data=np.zeros((9, 2))), DataShape, "another shape"),
    (lambda run: lb.manifold(run, side=2).figure("none"), UnknownName, "picture 'none'"),  # type: ignore[arg-type]
    (lambda run: lb.arithmetic(run, "beard"), UnknownName, "attribute 'beard'"),
    (lambda run: lb.arithmetic(run, [1, 0]), DataShape, "1797 numbers"),
    (lambda run: lb.arithmetic(run, "label=1", strengths=()), BadOption, "strengths"),
    (lambda run: lb.arithmetic(run, "label=1", strengths=(1, 0)), BadOption, "ascending"),
    (lambda run: lb.arithmetic(run, "label=1", strengths=(0, np.inf)), BadOption, "finite"),
    (lambda run: lb.arithmetic(run, "label=1", show=0), BadOption, "show 0"),
    (lambda run: lb.arithmetic(run, "label=1", rows=[1797]), DataError, "1797"),
    (lambda run: lb.arithmetic(run, "label=1", rows=[]), DataError, "no rows"),
    (lambda run: lb.arithmetic(run, "label=1", within="person"), UnknownName, "person"),
    (lambda run: lb.arithmetic(run, "label=1", method="guess"), UnknownName, "guess"),  # type: ignore[arg-type]
    (lambda run: lb.arithmetic(run, "label=1", data=lb.load("digits")), DataError, "without a split"),
    (lambda run: lb.embed(run, method="umap"), UnknownName, "umap"),  # type: ignore[arg-type]
    (lambda run: lb.embed(run, by="age"), UnknownName, "age"),
    (lambda run: lb.embed(run, by=[1, 2]), DataShape, "180 numbers"),
    (lambda run: lb.embed(run, method="tsne", perplexity=180), BadOption, "perplexity"),
    (lambda run: lb.embed(run, run.rows().take([0, 1])), DataShape, "too few rows"),
    (lambda run: lb.reconstructions(run, show="odd"), UnknownName, "odd"),  # type: ignore[arg-type]
    (lambda run: lb.reconstructions(run, rows=0), BadOption, "rows"),
    (lambda run: lb.reconstructions(run, corruption="rust"), UnknownName, "rust"),
    (lambda run: lb.reconstructions(run, corruption="dropout:rate=2"), BadOption, "rate"),
]


@pytest.mark.parametrize(("wrong", "error", "said"), WRONG)
def test_what_cannot_be_is_refused_by_name(
    run: lb.Run, wrong: Callable[[lb.Run], Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        wrong(run)


def test_files(run: lb.Run, tmp_path: Path) -> None:
    path = lb.interpolate(run, [0, 1], [2, 3], steps=4)
    assert path.save(tmp_path / "p.gif").read_bytes()[:3] == b"GIF"
    assert np.load(path.save(tmp_path / "p.npy")).shape == (2, 4, 1, 8, 8)
    assert path.save(tmp_path / "p.csv").read_text().count("\n") == 9
    with pytest.raises(BadOption, match=r"\.gif"):
        path.save(tmp_path / "p.jpg")
    for name, made in {"m": lb.manifold(run, side=3), "a": lb.arithmetic(run, "label=1", draws=2),
                       "e": lb.embed(run), "r": lb.reconstructions(run)}.items():  # fmt: skip
        assert made.save(tmp_path / f"{name}.png").read_bytes()[1:4] == b"PNG"
        assert made.save(tmp_path / f"{name}.csv").read_text().count("\n") > 2
    table = lb.fit(np.random.default_rng(0).normal(size=(60, 3)), latent=2, recipe="pca", progress=False)
    with pytest.raises(DataShape, match="not images"):
        lb.traverse(table).save(tmp_path / "t.png")
    assert lb.manifold(table, side=3).save(tmp_path / "t.png").stat().st_size > 1000, "the map needs no images"
