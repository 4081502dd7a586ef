"""The page as a file: what it holds, what it refuses, and that its scripts keep the rules."""

import base64
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import BadOption, Incompatible, OutputExists
from lowerbound.explorer import decoder, page, shown
from lowerbound.explorer.blob import Blob
from lowerbound.explorer.export import render

SCRIPTS = {path.stem: path.read_text("utf-8") for path in page.FOLDER.glob("*.js")}
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|fetch\(|XMLHttp|https?:|import\("
    r"|\.style\s*=|setAttribute\(\"style"
)


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=3, epochs=1, progress=False)


def payload(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.split('id="payload">')[1].split("</script>")[0])
    return found


def unpacked(text: str, facts: dict[str, object], at: int) -> np.ndarray:
    """An array of a page."""
    content = gzip.decompress(base64.b64decode(text.split('id="arrays">')[1].split("</script>")[0]))
    index = facts["arrays"]
    assert isinstance(index, list)
    start = sum(-(-count * int(kind[1]) // 4) * 4 for kind, count in index[:at])
    kind, count = index[at]
    return np.frombuffer(content, {"f4": "<f4", "u1": "u1", "i4": "<i4"}[kind], count, start)


def test_it_holds_the_rows_their_codes_and_what_is_known_of_them(run: lb.Run) -> None:
    text, facts = render(run, rows=70)
    assert payload(text) == json.loads(json.dumps(facts))
    rows = facts["rows"]
    numbers = unpacked(text, facts, rows["numbers"])
    assert (numbers[0], numbers[-1], len(set(numbers.tolist()))) == (0, 1796, 70)
    taken = run.data.take(numbers)
    codes = unpacked(text, facts, rows["codes"]).reshape(70, 3)
    np.testing.assert_allclose(codes, lb.encode(run, taken), atol=1e-5)
    cells = unpacked(text, facts, rows["cells"]).reshape(70, 64) / 255
    np.testing.assert_allclose(cells, taken.values().reshape(70, 64), atol=0.5 / 255 + 1e-6)
    assert (unpacked(text, facts, rows["colours"][0]["at"]) == taken.labels).all()
    held = set(np.flatnonzero(unpacked(text, facts, rows["held_out"])).tolist())
    assert held == {i for i, number in enumerate(numbers) if number not in run.data.split.train}
    error = unpacked(text, facts, next(c["at"] for c in rows["colours"] if c["name"] == "squared error"))
    made = lb.reconstruct(run, taken)
    np.testing.assert_allclose(error, np.square(taken.values() - made).mean((1, 2, 3)), rtol=1e-4)


def test_almost_all_draws_from_the_posterior_are_within_reach() -> None:
    rng, terms = np.random.default_rng(0), {}
    terms["mean"] = np.linspace(0, 999, 1000)[:, None]
    terms["draw"] = terms["mean"] + rng.uniform(0, 0.5, (1000, 1))
    terms["variance"] = np.zeros((1000, 1))
    found = shown.Shown(lb.Data(np.zeros((1000, 1))), np.arange(1000), None, terms)
    assert shown.reach(found) * found.spread[0] == pytest.approx(0.995, abs=0.06)  # to another row: between 0.5 and 1
    assert 0.9 < shown.reach(found) * found.spread[0] <= 1


def test_the_same_run_gives_the_same_bytes(run: lb.Run) -> None:
    assert render(run, rows=20)[0] == render(run, rows=20)[0]
    assert render(run, rows=20)[0] != render(run, rows=20, seed=1)[0]


def test_rows_that_are_given_are_shown(run: lb.Run, tmp_path: Path) -> None:
    given = run.data.take(slice(5, 15))
    facts = render(run, given)[1]
    assert (facts["rows"]["count"], facts["rows"]["held_out"]) == (10, None)
    assert "part of the data" not in [colour["name"] for colour in facts["rows"]["colours"]]


def test_nothing_is_written_over(run: lb.Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    found = lb.export_html(run, path, rows=10)
    assert (found.size, found.rows, found.weights) == (path.stat().st_size, 10, 16)
    with pytest.raises(OutputExists):
        lb.export_html(run, path, rows=10)
    with pytest.raises(OutputExists):
        lb.export_html(run, tmp_path, rows=10, force=True)
    with pytest.raises(BadOption, match="0"):
        lb.export_html(run, tmp_path / "none.html", rows=0)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "new"]
    lb.export_html(run, path, rows=11, force=True)


def model(**parts: object) -> lb.VAE:
    usual = {"encoder": "linear", "decoder": "linear", "posterior": "gaussian", "prior": "standard",
             "likelihood": "bernoulli"}  # fmt: skip
    table = {"shape": [4], "latent": 2, **{role: {"name": name} for role, name in usual.items()}}
    live = {name: part for name, part in parts.items() if isinstance(part, torch.nn.Module)}
    return lb.assemble({**table, **{name: part for name, part in parts.items() if name not in live}}, **live)


class Unknown(torch.nn.Module):
    """A decoder of one's own."""


REFUSED = {
    "a layer Unknown": {"decoder": Unknown()},
    "a layer Dropout": {"decoder": torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Dropout())},
    "transposed convolution of (3, 3)": {
        "decoder": torch.nn.Sequential(torch.nn.Unflatten(1, (2, 1, 1)), torch.nn.ConvTranspose2d(2, 1, 3))
    },
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_the_page_has_no_code_for_is_refused_by_name(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(**REFUSED[words])
    monkeypatch.setattr(decoder, "short_will_do", lambda model, codes: True)
    with pytest.raises(Incompatible, match=re.escape(words)):
        decoder.describe(made, torch.zeros(1, 2), Blob())


def test_a_likelihood_that_the_page_has_no_code_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowerbound.explorer.families.FAMILIES", {})
    with pytest.raises(Incompatible, match="no code for likelihood 'bernoulli'"):
        decoder.describe(model(), torch.zeros(1, 2), Blob())


def test_scripts_are_all_used() -> None:
    assert {*page.SCRIPTS, *page.LIVE} == set(SCRIPTS)


@pytest.mark.parametrize("scripts", [page.SCRIPTS, page.LIVE])
def test_scripts_come_after_what_they_import(scripts: tuple[str, ...]) -> None:
    for place, name in enumerate(scripts):
        lines = [line for line in SCRIPTS[name].splitlines() if line.startswith("import")]
        found = [page.IMPORT.fullmatch(line) for line in lines]
        assert all(found), name
        for words, module in (line.groups() for line in found if line):
            assert module in scripts[:place], f"{name} imports {module}"
            given = {word for _, word in page.EXPORT.findall(SCRIPTS[module])}
            wanted = set(re.findall(r"\w+", words))
            assert wanted <= given, f"{name}: {wanted - given} of {module}"
            body = SCRIPTS[name].replace(words, "", 1)
            assert not [word for word in wanted if not re.search(rf"\b{word}\b", body)], name


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_short_and_make_no_markup_of_texts(name: str) -> None:
    assert len(SCRIPTS[name].splitlines()) <= 400
    asks = {"api": ["fetch("]}  # of the page that is served
    assert FORBIDDEN.findall(SCRIPTS[name]) == asks.get(name, [])
    assert "api" not in page.SCRIPTS
    assert max(map(len, SCRIPTS[name].splitlines())) <= 120


@pytest.mark.parametrize("code", ["a.innerHTML = b", "fetch('x')", "eval('1')", "part.style = 'x'"])
def test_a_forbidden_word_is_seen(code: str) -> None:
    assert FORBIDDEN.search(code)
