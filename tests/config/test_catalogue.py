"""Parts and their options against the catalogue."""

from typing import Any

import pytest

from lowerbound import catalogue
from lowerbound.config import Config, check_parts, override
from lowerbound.errors import ConfigError, UnknownName


@pytest.mark.usefixtures("small")
def test_every_option_is_written_out() -> None:
    config = check_parts(override(Config(), {"prior": "heavy:freedom=3", "corruption": "dropout"}))
    assert config.model.prior == {"name": "heavy", "scale": "fixed", "level": 1, "freedom": 3}
    assert config.model.corruption == {"name": "dropout", "rate": 0.25}
    assert config.model.encoder == {"name": "mlp", "widths": [8]}
    assert config.model.likelihood == {"name": "auto"}
    assert check_parts(config) == config


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "hevy"}, "config: model.prior: unknown prior 'hevy': expected one of heavy, standard. "
         "Did you mean 'heavy'?"),
        ({"objective.bata": 4}, "config: objective: unknown option of objective 'elbo' 'bata': expected one of beta. "
         "Did you mean 'beta'?"),
        ({"prior": "heavy"}, "config: model.prior.freedom: prior 'heavy' needs it: found nothing, expected number"),
        ({"prior": "heavy:freedom=x"}, "config: model.prior.freedom: not permitted: found 'x', expected a number"),
        ({"prior": "heavy:freedom=1,scale=lerned"}, "config: model.prior.scale: not permitted: found 'lerned', "
         "expected one of \"fixed\", \"learned\". Did you mean 'learned'?"),
        ({"prior": "heavy:freedom=1,level=3"}, "config: model.prior.level: not permitted: found 3, "
         "expected one of 1, 2"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parts(override(Config(), changes))
    assert str(caught.value) == message


@pytest.mark.usefixtures("small")
def test_all_parts_are_checked_at_once() -> None:
    with pytest.raises(ConfigError, match="3 settings cannot be used"):
        check_parts(override(Config(), {"prior": "hevy", "encoder.width": 3, "likelihood.scale": 2}))


@pytest.mark.usefixtures("small")
def test_a_foreign_part_passes_only_when_it_may() -> None:
    config = override(Config(), {"prior": "mine:freedom=3"})
    assert check_parts(config, foreign=True).model.prior == {"name": "mine", "freedom": 3}
    with pytest.raises(UnknownName):
        check_parts(override(config, {"objective.bata": 3, "prior": "standard"}), foreign=True)


@pytest.mark.usefixtures("small")
def test_the_catalogue_names_what_it_has() -> None:
    assert catalogue.names("prior") == ["heavy", "standard"]
    assert catalogue.options("objective", "elbo")["beta"]["default"] == 1.0
    with pytest.raises(UnknownName, match=r"unknown kind of part 'pior'.*Did you mean 'prior'"):
        catalogue.names("pior")
    with pytest.raises(UnknownName, match=r"unknown net 'mpl'.*Did you mean 'mlp'"):
        catalogue.options("net", "mpl")
