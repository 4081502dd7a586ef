"""From recipe, file and options to one configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from lowerbound.cli.training import NAMED, settle
from lowerbound.config import full_path
from lowerbound.errors import BadOption, ConfigError, UnknownName

Invoke = Callable[..., Result]


def test_later_ones_win(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[model]\nlatent = 3\n[objective]\nbeta = 2.0\n[train]\nrate = 0.1\nbatch = 7\n")
    changes = ["train.rate=0.2", "epochs=9", "model.latent=4"]
    found = settle("beta-vae", tmp_path / "c.toml", changes, {"epochs": 5, "prior": None, "latent": 6})
    assert found.objective["beta"] == 2.0
    assert (found.train.rate, found.train.batch, found.train.epochs, found.model.latent) == (0.2, 7, 5, 6)


def test_a_file_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[train]\nbatch = 7\n")
    assert settle("beta-vae", tmp_path / "c.toml", [], {}).objective["beta"] == 4.0


def test_parts_as_text_and_as_paths() -> None:
    found = settle("vae", None, ["prior=standard", "encoder=mlp:widths=[8, 8]", "model.decoder.activation=tanh"], {})
    assert found.model.encoder["widths"] == [8, 8]
    assert found.model.decoder["activation"] == "tanh"
    assert settle("dae", None, [], {"corruption": "none"}).model.corruption is None


def test_every_named_option_reaches_its_setting() -> None:
    values = {"device": "cpu", "precision": "fp64", "binarize": "none", "encoder": "linear", "decoder": "conv"}
    values |= {"posterior": "point", "prior": "standard", "likelihood": "bernoulli", "corruption": "dropout"}
    values |= {"objective": "reconstruction", "query": "select 1", "columns": "a=count"}
    given = {name: values.get(name, 3) for name in NAMED}
    tree = settle("vae", None, [], given).as_dict()
    for name, value in given.items():
        found = tree
        for key in full_path(name).split("."):
            found = found[key]
        assert (found["name"] if isinstance(found, dict) else found) == value, name


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settle("vae", None, ["train.epoch=3", "train.rate=-1"], {"latent": 0})
    for words in ("3 settings", "Did you mean 'epochs'?", "train.rate", "model.latent"):
        assert words in str(caught.value)


@pytest.mark.parametrize("change", ["latent", "=3", ""])
def test_a_setting_needs_its_value(change: str) -> None:
    with pytest.raises(BadOption, match="KEY=VALUE"):
        settle("vae", None, [change], {})


def test_foreign_names_pass_only_where_parts_were_imported() -> None:
    with pytest.raises(UnknownName):
        settle("vae", None, [], {"prior": "heavy"})
    assert settle("vae", None, [], {"prior": "heavy"}, foreign=True).model.prior["name"] == "heavy"


def test_the_fault_of_a_file_names_it(cli: Invoke, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[train]\nepoch = 3\n")
    assert "c.toml: train: unknown key 'epoch'" in cli("fit", "digits", "--config", tmp_path / "c.toml", code=2).stderr
    assert "no such file" in cli("fit", "digits", "--config", tmp_path / "d.toml", code=2).stderr
