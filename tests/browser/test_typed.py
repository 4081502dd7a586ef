"""Tables of typed columns in a page: what it computes is what torch computes, in the words and units of the table."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import lowerbound as lb
from lowerbound.data.columns import Column
from lowerbound.explorer import decoder
from lowerbound.explorer.blob import Blob

Open = Callable[..., Any]

LATENT, ROWS = 3, 16
SHARES = (0.001, 0.05, 0.3, 0.5, 0.7, 0.95, 0.999)
COLUMNS = (
    Column("r", "real", "gaussian", -5, 5, 0.5), Column("t", "real", "student_t", -5, 5),
    Column("p", "positive", "log_normal", 0.1, 50, 0.1), Column("b", "bounded", "logit_normal", 0, 1, 0.01),
    Column("n", "count", "negative_binomial", 0, 60, 1, spikes=(4.0, 0.0)), Column("q", "count", "poisson", 0, 9, 1),
    Column("o", "ordinal", "ordinal", categories=("a", "b", "c", "d")),
    Column("k", "categorical", "categorical", categories=tuple("uvwxyz")),
    Column("y", "binary", "categorical", categories=("0", "1")),
    Column("s", "positive", "log_normal", 0, 9e4, 1, spikes=(0.0, 76.0)), Column("d", "date", "student_t", 0, 9, 1),
    Column("m", "count", "negative_binomial", 0, 5000, 1), Column("h", "count", "negative_binomial", 0, 1e6, 1),
    Column("g", "real", "gaussian", -5, 5, spikes=(1.5,)),
)  # fmt: skip
READ = """async ([facts, index, text, cells, inputs, shares]) => {
    const found = explorer.decoder(facts, await explorer.arrays(text, index), cells);
    return inputs.map((z) => {
        const numbers = found.net(z), all = Array.from({ length: cells }, (_, i) => i);
        return {
            mean: Array.from(found.likelihood.mean(numbers, new Float32Array(cells))),
            shares: all.map((i) => found.likelihood.shares(numbers, i) ?? null),
            values: all.map((i) => shares.map((share) => found.likelihood.value(numbers, i, share))),
            interval: all.map((i) => found.likelihood.interval(numbers, i) ?? null),
        };
    });
}"""


def model_of(**options: Any) -> lb.VAE:
    """With weights by chance, large enough that everything bends."""
    parts = {"encoder": {"name": "linear"}, "posterior": {"name": "gaussian"}, "prior": {"name": "standard"}}
    table = {"shape": [len(COLUMNS)], "latent": LATENT, "columns": COLUMNS, "decoder": {"name": "mlp", "widths": [16]},
             "embedding": {"mode": "columns"}, "likelihood": {"name": "columns", **options}}  # fmt: skip
    noise = torch.Generator().manual_seed(3)
    model = lb.assemble({**table, **parts}, seed=1).double().requires_grad_(False)
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=noise))
        for weight in model.likelihood_family.parameters():
            weight.copy_(0.02 * torch.randn(weight.shape, generator=noise))
        for at, (shift, scale) in {0: (1, 2), 1: (2, 1), 2: (0.5, 1.5), 4: (3, 1), 9: (2, 2), 10: (4, 2)}.items():
            model.embedding.shift[at], model.embedding.scale[at] = shift, scale
        model.embedding.shift[11:13] = torch.tensor([700.0, 2e5])
    return model.eval()


@pytest.fixture(scope="module", params=["predicted", "learned"])
def pair(request: pytest.FixtureRequest, browser: Any, typed_page: Path) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """p(x|z) of torch and what a page computes of it."""
    model = model_of(scale=request.param)
    z, blob = torch.randn(ROWS, LATENT, generator=torch.Generator().manual_seed(2)).double(), Blob()
    facts = decoder.describe(model, z, blob)
    page = browser.new_page()
    page.goto(typed_page.as_uri())
    page.wait_for_selector("body.ready")
    found = page.evaluate(READ, [facts, blob.index, blob.text, len(COLUMNS), z.tolist(), SHARES])
    with torch.no_grad():
        p = model.likelihood(z)
    yield p, found
    page.close()


def test_means_and_likeliest_categories(pair: Any) -> None:
    p, found = pair
    means, unit = np.array([row["mean"] for row in found]), np.maximum(1, np.abs(p.point.numpy()))
    assert (np.abs(means - p.point.numpy()) / unit).max() <= 1e-3


def test_probabilities_of_categories(pair: Any) -> None:
    p, found = pair
    order = [*p.layout.nominal.tolist(), *p.layout.ordinal.tolist()]
    for n, i in enumerate(order):
        got = np.array([row["shares"][i] for row in found])
        np.testing.assert_allclose(got, p.table.exp()[:, n, : got.shape[1]], atol=1e-3)
        assert (np.array([row["values"][i] for row in found]) == _codes(got)).all()
    assert [i for i in range(len(COLUMNS)) if found[0]["shares"][i] is None] == sorted(set(range(14)) - set(order))


def _codes(shares: Any) -> Any:
    """At each level the first category that with those before it passes the level."""
    return np.minimum((shares.cumsum(1)[:, None, :] < np.array(SHARES)[:, None]).sum(-1), shares.shape[1] - 1)


def below(p: Any, i: int, x: Any, strictly: bool) -> Any:
    """P(cell <= x) or P(cell < x), by scipy from torch's parameters, (rows, values)."""
    column, layout = COLUMNS[i], p.layout
    inner = _measured(p, layout.measured.tolist().index(i), column, x) if not column.discrete else _counted(
        p, i, x - 1e-9 if strictly else x)  # fmt: skip
    if not column.spikes:
        return inner
    gate = layout.gates.tolist().index(i)
    table = p.table.exp()[:, len(layout.nominal) + len(layout.ordinal) + gate, :].numpy()
    on = sum(table[:, [n + 1]] * ((x > s) if strictly else (x >= s)) for n, s in enumerate(column.spikes))
    return table[:, :1] * inner + on


def _measured(p: Any, n: int, column: Column, x: Any) -> Any:
    i, layout = p.layout.measured[n], p.layout
    low, high = column.low - column.width, column.high + column.width
    with np.errstate(divide="ignore"):
        ways = {"log_normal": np.log, "logit_normal": lambda v: np.log((v - low) / (high - v))}
        y = ways.get(column.family, lambda v: v)(x)
    place = (y - float(p.shift[i])) / float(p.scale[i])
    loc, sigma = p.loc[:, n, None].numpy(), p.sigma.expand(ROWS, -1)[:, n, None].numpy()
    if column.family != "student_t":
        return stats.norm(loc, sigma).cdf(place)
    return stats.t(p.freedom[:, layout.students.tolist().index(n), None].numpy(), loc, sigma).cdf(place)


def _counted(p: Any, i: int, x: Any) -> Any:
    layout = p.layout
    mean = p._counts()[0 if i in layout.negative.tolist() else 1].mean
    if i in layout.poisson.tolist():
        return stats.poisson(mean[:, layout.poisson.tolist().index(i), None].numpy()).cdf(x)
    n = layout.negative.tolist().index(i)
    size = float(p.rest["dispersion"][n].exp())
    return stats.nbinom(size, size / (size + mean[:, n, None].numpy())).cdf(x)


def test_quantiles_and_so_draws_and_intervals(pair: Any) -> None:
    """A quantile has its share at or below it, and no more than its share below."""
    p, found = pair
    for i, column in enumerate(COLUMNS):
        if column.coded:
            continue
        x = np.array([row["values"][i] for row in found])
        assert (np.array([row["interval"][i] for row in found]) == x[:, [1, 5]]).all()
        if column.name == "h":  # taken for continuous
            assert np.abs(below(p, i, np.round(x), False) - SHARES).max() < 5e-3
            continue
        assert (below(p, i, x + 1e-4 * np.abs(x), False) >= np.array(SHARES) - 1e-3).all(), column.name
        assert (below(p, i, x - 1e-4 * np.abs(x), True) <= np.array(SHARES) + 1e-3).all(), column.name


def test_a_run_in_its_page(show: Open, typed: lb.Run, typed_page: Path) -> None:
    opened = show(typed_page)
    z = np.random.default_rng(0).normal(size=(20, 3))
    found, wanted = (
        np.array(opened.ask("(codes) => codes.map((z) => explorer.decode(z))", z.tolist())),
        lb.decode(typed, z),
    )
    unit = np.maximum(1, np.abs(wanted))
    assert (np.abs(found - wanted) / unit).max() <= 1e-3


def test_cells_have_intervals_bars_and_say_what_is_missing(show: Open, typed: lb.Run, typed_page: Path) -> None:
    opened = show(typed_page)
    assert opened.page.title() == "vae on kinds.csv · explorer"
    assert typed_page.read_text("utf-8").count("</script>") == 3
    assert opened.ask("document.querySelectorAll('script').length") == 3
    lines = opened.page.locator("#cells tbody tr")
    assert lines.count() == 12
    row = next(i for i in range(60) if not typed.data.mask[i].all() and not typed.data.mask[i][8])
    opened.page.evaluate("(row) => { location.hash = `#row=${row}`; }", row)
    opened.until(f"explorer.world.arrays[explorer.world.rows.numbers][explorer.point.row] === {row}")
    gone = opened.ask("Array.from(document.querySelectorAll('.gone')).map(({ hidden }) => !hidden)")
    assert gone == (~typed.data.mask[row]).tolist()
    assert opened.page.inner_text("#cells").count("missing in the row") == (~typed.data.mask[row]).sum()
    told = [lines.nth(j).inner_text() for j in range(12)]
    assert "%" in told[8] and "%" not in told[0]
    p = lb.decode(typed, [opened.z])[0]
    assert typed.schema is not None
    day = typed.schema.columns[10].texts(p[10:11].astype(float))[0]
    assert day in told[10] and " to 20" in told[10]
    assert opened.page.locator("#cells .shares span", has_text="</script>").count() + opened.page.locator(
        "#cells .shares span", has_text="=green").count() >= 1  # fmt: skip


def test_the_map_takes_the_colours_of_columns(show: Open, typed: lb.Run, typed_page: Path) -> None:
    opened = show(typed_page)
    told = "({ name, kind, names, values }) => ({ name, kind, names, values: [...values] })"
    colours = {each["name"]: each for each in opened.ask(f"explorer.world.colours.map({told})")}
    assert typed.schema is not None
    for j, column in enumerate(typed.schema):
        found, seen = colours[column.name], typed.data.mask[:, j]
        if column.coded:
            assert (found["kind"], tuple(found["names"])) == ("classes", column.categories)
            assert (np.array(found["values"]) == np.where(seen, typed.data.x[:, j], -1)).all()
    opened.page.locator("#pickers select").nth(2).select_option(label="day")
    assert opened.page.inner_text("#legend").startswith("20")
    opened.page.locator("#pickers select").nth(2).select_option(label="sex")
    assert opened.page.locator("#legend button").count() == 2
    assert "sex: m" in opened.ask("Array.from(document.querySelectorAll('#attribute option')).map((o) => o.text)")


def downloaded(opened: Any, button: str) -> list[list[str]]:
    with opened.page.expect_download() as waiting:
        opened.page.click(button)
    return list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text("utf-8"))))


def test_samples_as_a_file_are_rows_of_the_table(show: Open, typed: lb.Run, typed_page: Path, tmp_path: Path) -> None:
    opened = show(typed_page)
    lines = downloaded(opened, "#save-draws")
    assert lines == downloaded(opened, "#save-draws")
    assert typed.schema is not None
    assert lines[0] == list(typed.schema.names) and len(lines) == 241
    with (tmp_path / "made.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[cell.removeprefix("'") for cell in line] for line in lines])
    made = typed.rows(tmp_path / "made.csv")  # which refuses unknown categories, and numbers that are not whole
    assert made.mask is None
    np.testing.assert_allclose(made.x, typed.schema.legal(made.x), rtol=1e-6)
    theirs = lb.sample(typed, 4000)
    for j in range(12):
        assert stats.ks_2samp(made.x[:, j], theirs.values[:, j]).pvalue > 1e-4, typed.schema.names[j]


def test_sheets_say_what_points_decode_to(show: Open, typed: lb.Run, typed_page: Path) -> None:
    opened = show(typed_page)
    opened.settled()
    for letter in "AB":
        opened.page.click("#random")
        opened.page.click(f"#pin-{letter}")
    opened.settled()
    size = "(id) => [...document.querySelectorAll(`#${id} tr`)].map((line) => line.children.length)"
    assert opened.ask(size, "way") == [10] * 13
    assert opened.ask(size, "sum") == [5] * 13
    assert opened.ask(size, "drawn") == [13] * 13
    assert opened.ask(size, "reconstructed") == [13] * 25
    opened.page.locator("#way button").nth(4).click()
    middle = opened.ask("explorer.pins.held.A.z.map((a, i) => (a + explorer.pins.held.B.z[i]) / 2)")
    np.testing.assert_allclose(opened.z, middle)
    opened.settled()
    words = [opened.ask(f"explorer.world.text({j}, explorer.decode(explorer.point.z)[{j}])") for j in range(12)]
    shown = opened.ask(
        "[...document.querySelectorAll('#directed tbody tr')].map((line) => line.children[3].textContent)"
    )
    assert shown == words
    row = opened.page.locator("#reconstructed tbody tr")
    row.nth(2).locator("button").click()
    at = opened.ask("explorer.world.arrays[explorer.world.rows.numbers][explorer.point.row]")
    own = [
        cell or "missing"
        for cell in opened.ask(
            "[...explorer.world.values(explorer.point.row)].map((v, j) => explorer.world.text(j, v))"
        )
    ]
    assert (
        opened.ask(
            "[...document.querySelectorAll('#reconstructed tbody tr')[2].children].slice(1).map((c) => c.textContent)"
        )
        == own
    )
    assert (np.array(own) == "missing").tolist() == (~typed.data.mask[at]).tolist()


def test_a_row_of_counts_is_decoded_at_its_own_total(show: Open, tmp_path: Path) -> None:
    made = np.random.default_rng(0)
    counts = made.poisson(np.exp(made.normal(size=(120, 1)) + made.normal(size=50) / 2 + 1))
    run = lb.fit(lb.Data(counts, columns=tuple(f"gene {j}" for j in range(50))), recipe="count-vae", latent=2, epochs=2,
                 progress=False)  # fmt: skip
    opened = show(lb.export_html(run, tmp_path / "counts.html").path)
    rows = [3, 30, 110]
    found = opened.ask(
        "(rows) => rows.map((row) => [...explorer.world.decode(explorer.world.code(row), [], row)])", rows
    )
    np.testing.assert_allclose(found, lb.reconstruct(run, run.data.take(np.array(rows))), rtol=1e-3)
    usual = opened.ask("(rows) => rows.map((row) => explorer.decode(explorer.world.code(row)))", rows)
    np.testing.assert_allclose(usual, lb.decode(run, lb.encode(run, run.data.take(np.array(rows)))), rtol=1e-3)
    assert opened.page.locator("#cells tbody tr").count() == 40
    assert opened.page.locator("#drawn canvas").count() > 0
