"""The tree, its TOML, its changes and its faults."""

import copy
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound import catalogue
from lowerbound import config as module
from lowerbound.config import ALIASES, PARTS, SETTINGS, Config, DataConfig, override, read_toml
from lowerbound.errors import BadOption, ConfigError, UnknownName

KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda key: key != "name")
NUMBERS = st.integers(-1000, 1000) | st.floats(allow_nan=False, allow_infinity=False)
SINGLES = NUMBERS | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OPTIONS = SINGLES | st.lists(SINGLES, max_size=4) | st.dictionaries(KEYS, SINGLES, max_size=3)


def value_of(path: str) -> st.SearchStrategy[Any]:
    """Values that the key of this path permits."""
    rule = SETTINGS[path]
    if rule.part:
        names = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
        return st.builds(
            lambda name, options: {**options, "name": name}, names, st.dictionaries(KEYS, OPTIONS, max_size=3)
        )
    if rule.kind is str:
        return st.sampled_from(rule.choices) if rule.choices else st.text(st.characters(exclude_categories=["Cs"]))
    if rule.kind is int:
        return st.integers(int(max(rule.low, 0)), int(min(rule.high, 2**63 - 1)))
    return st.floats(rule.low, min(rule.high, 1e300), exclude_min=rule.above)


TREES = st.lists(st.sampled_from(sorted(SETTINGS.keys() - {"format"})), unique=True).flatmap(
    lambda paths: st.fixed_dictionaries({path: value_of(path) for path in paths})
)


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_any_tree_comes_back_from_its_toml(changes: dict[str, Any]) -> None:
    config = override(Config(), changes)
    text = config.to_toml()
    assert Config.from_toml(text) == config == Config.from_toml(text.encode()) == Config.from_tree(config.as_dict())
    assert Config.from_toml(text).to_toml() == text
    assert {path: at(config.as_dict(), path) for path in changes} == changes


def at(tree: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key, {})
    return tree


def test_defaults_and_order_of_the_file() -> None:
    tree = read_toml(Config().to_toml())
    assert list(tree) == ["format", "seed", "data", "model", "objective", "train"]
    assert tree["model"]["likelihood"] == {"name": "auto"}
    assert "corruption" not in tree["model"]
    assert list(tree["train"]) == [path[6:] for path in SETTINGS if path.startswith("train.")]
    assert (tree["format"], tree["train"]["patience"]) == (1, Config().train.patience)


def test_every_key_says_what_it_is() -> None:
    assert all(rule.about for rule in SETTINGS.values())
    assert set(PARTS.values()) == set(catalogue.KINDS)
    assert ALIASES["latent"] == "model.latent" and ALIASES["weight_prior"] == "train.weight_prior"
    assert DataConfig(split="group:a b").split == "group:a b"
    assert ALIASES["split"] == "data.split" and "name" not in ALIASES
    assert len(ALIASES) == len([path for path in SETTINGS if "." in path]) - 1  # no short name stands for two keys


# Faults: a TOML text and the exact message.
FAULTS = {
    '[model]\nlantent = 8': (
        "config.toml: model: unknown key 'lantent': expected one of classifier, corruption, decoder, encoder, "
        "label_prior, latent, likelihood, missingness, posterior, prior, start. Did you mean 'latent'?"
    ),
    "[train]\nlatent = 8": "config.toml: train: unknown key 'latent'. It belongs at model.latent.",
    "latent = 8": "config.toml: unknown key 'latent'. It belongs at model.latent.",
    "[trian]\nrate = 1": (
        "config.toml: unknown key 'trian': expected one of data, format, model, objective, seed, train. "
        "Did you mean 'train'?"
    ),
    "[train]\nrate = nan": "config.toml: train.rate: not permitted: found nan, expected a finite number",
    "[train]\nrate = 0": "config.toml: train.rate: not permitted: found 0, expected a number above 0",
    "[train]\nrate = inf": "config.toml: train.rate: not permitted: found inf, expected a finite number",
    "[train]\nbatch = 0": "config.toml: train.batch: not permitted: found 0, expected a whole number of 1 or more",
    "[train]\nbatch = 1e2": (
        "config.toml: train.batch: not permitted: found 100.0, expected a whole number of 1 or more"
    ),
    "[train]\nepochs = true": (
        "config.toml: train.epochs: not permitted: found true, expected a whole number of 0 or more"
    ),
    f"seed = {2**63}": (
        f"config.toml: seed: not permitted: found {2**63}, expected a whole number, at most {2**63 - 1}"
    ),
    "seed = -1": "config.toml: seed: not permitted: found -1, expected a whole number of 0 or more",
    "[model]\nlatent = 1000001": (
        "config.toml: model.latent: not permitted: found 1000001, expected a whole number of 1 or more, at most 1000000"
    ),
    '[train]\noptimizer = "adma"': (
        "config.toml: train.optimizer: not permitted: found 'adma', expected one of \"adam\", \"adagrad\", \"sgd\". "
        "Did you mean 'adam'?"
    ),
    '[data]\nsplit = "group:"': (
        "config.toml: data.split: not permitted: found 'group:', "
        'expected one of "auto", "random", "time", "given", "group:..."'
    ),
    "model = 3": "config.toml: model: not a table of settings: found 3, expected a table [model]",
    '[model]\nprior = "standard"': (
        "config.toml: model.prior: not a part: found 'standard', expected a table { name = \"...\", option = value }. "
        'Write { name = "standard" }.'
    ),
    '[model]\nprior = { name = 3 }': (
        "config.toml: model.prior: a part needs a name: found 3, "
        'expected name = "..." of letters, digits, "_", "-" and "."'
    ),
    "[model]\nencoder = { widths = [400, 1000000000000] }": (
        "config.toml: model.encoder.widths: not an option: found [400, 1000000000000], "
        "expected a whole number, at most 1000000"
    ),
    "[objective]\nbeta = nan": "config.toml: objective.beta: not an option: found nan, expected a finite number",
    "[objective]\nday = 2020-01-01": (
        "config.toml: objective.day: not an option: found datetime.date(2020, 1, 1), "
        "expected a number, a text, true or false, a list of these, or a table of these"
    ),
    "[objective]\nbeta = { start = { at = 1 } }": (
        "config.toml: objective.beta: not an option: found {'start': {'at': 1}}, "
        "expected a number, a text, true or false, a list of these, or a table of these"
    ),
    f"[train]\nrate = '{'x' * 200}'": (
        f"config.toml: train.rate: not permitted: found '{'x' * 76}..., expected a number above 0"
    ),
    "[objective]\n'a b' = 1": "config.toml: objective.a b: not an option: found 1, expected a name as its key",
    "seed = 1\nseed = 2": "config.toml:2:9: a key or table is written twice. Keep one of the two.",
    "[data]\n[data]": "config.toml:2:6: a key or table is written twice. Keep one of the two.",
    "[data]\nname = mnist": (
        "config.toml:2:8: not TOML: found Invalid value. Texts are written in quotes: name = \"mnist\"."
    ),
    "[data": (
        "config.toml:1:6: not TOML: found Expected ']' at the end of a table declaration. "
        'Texts are written in quotes: name = "mnist".'
    ),
    "\ufeffseed = 1": "config.toml: starts with a byte order mark. Save it as UTF-8 without one.",
    "a = " + "[" * 5000: "config.toml: nested too deeply",
    "#" * 1_000_001: "config.toml: too long: found 1000001 characters, expected at most 1000000",
    "format = 2": (
        "config.toml: format: newer than known: found 2, expected at most 1. "
        "It was written by a newer version of lowerbound: upgrade."
    ),
    "format = 0": "config.toml: format: not a format: found 0, expected 1 to 1",
    'format = "1"': "config.toml: format: not a format: found '1', expected 1 to 1",
}  # fmt: skip


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: text[:30])
def test_a_fault_has_its_message(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_toml(text)
    assert str(caught.value) == FAULTS[text]
    assert caught.value.exit_code == 2


def test_not_utf8_names_the_line() -> None:
    with pytest.raises(ConfigError, match=r"a\.toml: not UTF-8: found byte 0xff on line 2\. Save it as UTF-8\."):
        Config.from_toml(b'seed = 1\n[data]\nname = "\xff"'.replace(b"[data]\n", b""), "a.toml")


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_toml('seeed = 1\n[train]\nrate = -1.0\nbatch = "8"\n[model.prior]\nname = "a b"')
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 settings cannot be used:"
    assert [line.split(": ")[1] for line in lines[1:]] == [
        "unknown key 'seeed'",
        "model.prior",
        "train.batch",
        "train.rate",
    ]


def test_errors_have_their_class() -> None:
    with pytest.raises(UnknownName):
        Config.from_toml("seeed = 1")
    with pytest.raises(BadOption):
        Config.from_toml("seed = -1")


def test_direct_construction_is_checked_too() -> None:
    with pytest.raises(BadOption, match="DataConfig: validation: not permitted: found -1"):
        DataConfig(validation=-1)
    with pytest.raises(BadOption, match="Config: seed"):
        replace(Config(), seed=-1)


def test_a_config_cannot_be_changed() -> None:
    config, options = Config(), {"name": "mlp", "widths": [4]}
    with pytest.raises(FrozenInstanceError):
        config.seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):
        config.model.encoder["name"] = "linear"
    made = override(config, {"encoder": options, "objective": {"name": "elbo", "beta": {"start": 0.0}}})
    options["widths"] += [5]
    made.as_dict()["model"]["encoder"]["widths"].append(6)
    assert made.model.encoder["widths"] == [4]
    with pytest.raises(TypeError, match="frozen"):
        made.objective["beta"]["start"] = 1.0
    assert copy.deepcopy(made) == made


def test_an_old_format_is_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(tree: dict[str, Any]) -> dict[str, Any]:
        return {("seed" if key == "random_state" else key): value for key, value in tree.items()}

    monkeypatch.setitem(module.MIGRATIONS, 1, renamed)
    assert read_toml("format = 1\nrandom_state = 3") == {"format": 2, "seed": 3}
    assert read_toml("random_state = 3") == {"random_state": 3}  # no number: the newest
    assert Config.from_toml("format = 1\nrandom_state = 3").format == 2


def test_importing_is_light() -> None:
    code = "import lowerbound.recipes, sys; print(*sorted({'torch', 'numpy', 'pydantic'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    start = time.perf_counter()
    for _ in range(20):
        Config.from_toml("seed = 3")
    assert time.perf_counter() - start < 1.0
