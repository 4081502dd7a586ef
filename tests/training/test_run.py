"""Run folders: what is written is what is read, and nothing is taken on trust."""

import json
from pathlib import Path

import numpy as np
import pytest

import lowerbound as lb
from lowerbound import audit
from lowerbound.config import Config
from lowerbound.errors import DataChanged, DataError, DataRange, DataShape, Incompatible, OutputExists, RunError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> lb.Run:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return lb.fit("digits", latent=2, epochs=2, out=folder, progress=False)


def test_a_reloaded_model_gives_the_same_numbers(run: lb.Run) -> None:
    assert run.path is not None
    again = lb.open(run.path)
    assert again.config == run.config and again.model.spec == run.model.spec and again.history == run.history
    assert np.array_equal(lb.score(again, samples=5).log_likelihood, lb.score(run, samples=5).log_likelihood)
    assert np.array_equal(again.rows().x, run.rows().x)


def test_the_same_seed_gives_the_same_files(run: lb.Run, tmp_path: Path) -> None:
    again = lb.fit("digits", latent=2, epochs=2, out=tmp_path / "again", progress=False)
    other = lb.fit("digits", latent=2, epochs=2, out=tmp_path / "other", seed=1, progress=False)
    assert run.path is not None and again.path is not None and other.path is not None
    names = ("model.safetensors", "config.toml")
    assert all((run.path / name).read_bytes() == (again.path / name).read_bytes() for name in names)
    assert (run.path / names[0]).read_bytes() != (other.path / names[0]).read_bytes()


def test_the_configuration_is_written_resolved(run: lb.Run) -> None:
    assert run.path is not None
    config = Config.from_toml((run.path / "config.toml").read_bytes())
    assert config.model.likelihood["scale"] == "learned" and config.data.scaling == "none"
    assert "auto" not in (config.data.binarize, config.data.split, config.model.likelihood["name"])


def test_nothing_is_overwritten(run: lb.Run, tmp_path: Path) -> None:
    assert run.path is not None
    with pytest.raises(OutputExists, match="already there"):
        lb.fit("digits", epochs=1, out=run.path, progress=False)
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(OutputExists, match="not a run"):
        run.save(tmp_path, force=True)


def test_damaged_and_foreign_folders_are_refused(run: lb.Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        lb.open(tmp_path)
    run.save(tmp_path / "copy")
    weights = tmp_path / "copy" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        lb.open(tmp_path / "copy")


def test_a_newer_format_is_refused(run: lb.Run, tmp_path: Path) -> None:
    run.save(tmp_path / "copy")
    facts = json.loads((tmp_path / "copy" / "model.json").read_text())
    (tmp_path / "copy" / "model.json").write_text(json.dumps(facts | {"format": 99}))
    with pytest.raises(RunError, match="newer"):
        lb.open(tmp_path / "copy")


def test_data_that_changed_are_refused(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(40, 3))
    np.save(tmp_path / "table.npy", table)
    lb.fit(tmp_path / "table.npy", latent=1, epochs=1, out=tmp_path / "run", progress=False)
    assert lb.open(tmp_path / "run").rows().rows == 4
    table[7, 1] += 1
    np.save(tmp_path / "table.npy", table)
    with pytest.raises(DataChanged, match="fingerprint"):
        lb.open(tmp_path / "run").rows()


def test_rows_must_be_at_hand() -> None:
    table = np.random.default_rng(0).normal(size=(40, 3))
    run = lb.fit(table, latent=1, epochs=1, test=0, progress=False)
    with pytest.raises(DataError, match="no test rows"):
        lb.evaluate(run)
    assert lb.evaluate(run, table, samples=2).as_dict()["rows"] == 40
    with pytest.raises(DataShape, match=r"found \(4,\), expected \(3,\)"):
        lb.score(run, np.zeros((5, 4)))


def test_auto_is_decided_by_the_data() -> None:
    def chosen(array: np.ndarray) -> tuple[str, str, str]:  # type: ignore[type-arg]  # any dtype
        config = audit.resolve(Config(), lb.load(array))
        return config.model.likelihood["name"], config.data.binarize, config.data.scaling

    draws = np.random.default_rng(0)
    assert chosen(draws.normal(size=(9, 3))) == ("gaussian", "none", "columns")
    assert chosen(draws.integers(0, 2, (9, 3))) == ("bernoulli", "none", "none")
    assert chosen(draws.integers(0, 256, (9, 4, 4), np.uint8)) == ("bernoulli", "sample", "none")
    assert chosen(draws.random((9, 4, 4))) == ("gaussian", "none", "none")


def test_the_audit_line_says_what_the_loss_is(capsys: pytest.CaptureFixture[str]) -> None:
    run = lb.fit("digits", recipe="beta-vae", latent=16, epochs=1)
    printed = capsys.readouterr().err.splitlines()[0]
    assert printed == audit.line(run.loss)
    assert run.loss["beta"] == 4 and run.loss["beta_normalised"] == 4 * 16 / 64
    assert "sum over 64 cells, mean over rows, in nats" in printed and "beta 4 (normalised 1)" in printed


def test_values_are_checked_at_the_door() -> None:
    with pytest.raises(DataRange, match=r"row 0, channel 0, pixel \(0, 2\)"):
        lb.fit("digits", likelihood="bernoulli", epochs=1, progress=False)
    with pytest.raises(Incompatible, match="binarize 'fixed' needs"):
        lb.fit("digits", binarize="fixed", epochs=1, progress=False)


def test_a_budget_of_time_ends_the_training() -> None:
    run = lb.fit("digits", latent=2, epochs=10_000, patience=0, time_budget=0.5, progress=False)
    assert run.summary["stopped"] == "time budget of 0.5 s spent" and 0 < run.summary["epochs"] < 10_000
