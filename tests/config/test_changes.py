"""Changes by dotted path, and what is typed on the command line."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowerbound.config import Config, dotted, merge, override, parse_part, parse_value
from lowerbound.errors import BadOption, ConfigError


def test_paths_short_names_and_parts() -> None:
    changes = {"latent": 8, "train.rate": 1, "prior": "heavy:freedom=3", "prior.scale": "learned", "seed": 5}
    config = override(Config(), changes)
    assert (config.model.latent, config.train.rate, config.seed) == (8, 1.0, 5)
    assert isinstance(config.train.rate, float)
    assert config.model.prior == {"name": "heavy", "freedom": 3, "scale": "learned"}
    assert override(config, dotted({"objective__beta": 4})).objective == {"name": "elbo", "beta": 4}


def test_another_name_replaces_a_part_and_the_same_name_adds_to_it() -> None:
    config = override(Config(), {"encoder": "mlp:widths=[4],activation=tanh"})
    assert override(config, {"encoder": "mlp:widths=[5]"}).model.encoder == parse_part("mlp:widths=[5],activation=tanh")
    assert override(config, {"encoder": "linear"}).model.encoder == {"name": "linear"}
    assert override(config, {"encoder.name": "linear"}).model.encoder == {"name": "linear"}
    assert override(config, {"encoder": {"widths": [6]}}).model.encoder["activation"] == "tanh"


def test_a_part_is_set_before_its_options_in_any_order() -> None:
    assert override(Config(), {"objective.samples": 5, "objective": "iwae"}).objective == {"name": "iwae", "samples": 5}


def test_a_schedule_is_replaced_whole_or_changed_by_key() -> None:
    config = override(Config(), {"objective": "elbo:beta={start=0.0,end=4.0,over=0.2}"})
    assert override(config, {"objective.beta.end": 2.0}).objective["beta"] == {"start": 0.0, "end": 2.0, "over": 0.2}
    assert override(config, {"objective.beta": {"end": 2.0}}).objective["beta"] == {"end": 2.0}
    assert override(config, {"objective.beta": 3.0}).objective["beta"] == 3.0


def test_none_removes_the_corruption() -> None:
    config = override(Config(), {"corruption": "dropout:rate=0.5"})
    assert config.model.corruption == {"name": "dropout", "rate": 0.5}
    assert override(config, {"corruption": "none"}).model.corruption is None
    assert override(config, {"corruption": None}).model.corruption is None
    with pytest.raises(BadOption, match="objective: not a part: found nothing"):
        override(config, {"objective": None})


def test_numbers_of_numpy_become_plain() -> None:
    config = override(Config(), {"latent": np.int64(8), "rate": np.float32(0.5), "encoder": {"widths": (np.int64(4),)}})
    assert config.to_toml() == override(Config(), {"latent": 8, "rate": 0.5, "encoder": {"widths": [4]}}).to_toml()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("latnet", "override: unknown key 'latnet'"),
        ("train.rte", "override: train: unknown key 'rte'"),
        ("train.latent", "override: train: unknown key 'latent'. It belongs at model.latent."),
        ("train.rate.x", "override: train.rate: not permitted: found {'x': 1}"),
        ("objective.beta.end.x", "override: objective.beta: not an option: found {'end.x': 1}, expected names as keys"),
    ],
)
def test_a_wrong_path_is_refused(changes: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(Config(), {changes: 1})
    assert str(caught.value).startswith(message)


def test_one_key_under_two_names_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"override: model\.latent: given twice"):
        override(Config(), {"latent": 3, "model.latent": 4})


def test_merge_leaves_its_arguments_alone() -> None:
    base, fragment = {"train": {"rate": 1.0}}, {"train": {"batch": 2}, "data": {"name": "x"}}
    before = copy.deepcopy((base, fragment))
    assert merge(base, fragment) == {"train": {"rate": 1.0, "batch": 2}, "data": {"name": "x"}}
    assert (base, fragment) == before


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("1e-3", 1e-3), ("3", 3), ("-4", -4), ("true", True), ("True", "True"), ("mnist", "mnist"),
        ("", ""), ("nan", "nan"),
        ("inf", "inf"), ("[400, 400]", [400, 400]), ("[]", []), ("{start=0.0, end=4.0}", {"start": 0.0, "end": 4.0}),
        ('"3"', "3"), ("2020-01-01", "2020-01-01"), ("1, y = 2", "1, y = 2"),
        ("1 }\nx = {", "1 }\nx = {"), ("1 # no", "1 # no"),
        ("group:a b", "group:a b"), ("a/b.csv", "a/b.csv"), ("1\n", "1\n"), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_values(typed: str, meant: object) -> None:
    found = parse_value(typed)
    assert found == meant and type(found) is type(meant)


@pytest.mark.parametrize("typed", ["[a, b]", "{a=b}", "[1", '"x', "[" * 5000])
def test_a_broken_list_is_not_taken_for_a_text(typed: str) -> None:
    with pytest.raises(ConfigError, match="not a TOML value"):
        parse_value(typed)


@pytest.mark.parametrize(
    ("typed", "meant"),
    {
        "mlp": {"name": "mlp"},
        "mlp:": {"name": "mlp", "": None},
        "mlp:widths=[400,400],activation=tanh": {"name": "mlp", "widths": [400, 400], "activation": "tanh"},
        "elbo:beta={start=0.0,end=4.0,over=0.2},samples=2": {
            "name": "elbo", "beta": {"start": 0.0, "end": 4.0, "over": 0.2}, "samples": 2,
        },
        'a: b = "x,]y" , c=it': {"name": "a", "b": "x,]y", "c": "it"},
        "a:b=x:y=z": {"name": "a", "b": "x:y=z"},
    }.items(),
)  # fmt: skip
def test_parts(typed: str, meant: dict[str, Any]) -> None:
    if "" in meant:
        with pytest.raises(ConfigError, match="mlp:: not an option: found '', expected name:option=value"):
            parse_part(typed)
    else:
        assert parse_part(typed) == meant


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("a:b", "a:b: not an option: found 'b', expected name:option=value,option=value"),
        ("a:b=", "a:b=: not an option: found 'b=', expected name:option=value,option=value"),
        ("a:b=1,b=2", "a:b=1,b=2: option 'b' is given twice"),
        ("a:w=[1,2", "a:w=[1,2: not a TOML value: found '[1,2'. Texts inside lists and tables are written in quotes: "
         '["a", "b"].'),
    ],
)  # fmt: skip
def test_a_broken_part_is_refused(typed: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_part(typed)
    assert str(caught.value) == message


@given(st.text(max_size=20))
def test_any_text_is_a_part_or_a_config_error(typed: str) -> None:
    try:
        override(Config(), {"prior": typed})
    except ConfigError:
        return
