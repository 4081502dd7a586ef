"""The rule of the star, and the registry that rests on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowerbound import parts
from lowerbound.corruptions import Dropout
from lowerbound.errors import BadOption, ConfigError, Incompatible, UnknownName
from lowerbound.model import VAE
from lowerbound.nets import MLP, Linear, Net
from lowerbound.objectives import elbo
from lowerbound.parts import GIVEN, REGISTRY, Count, build, describe, find, import_file, spec
from lowerbound.priors import Prior, Standard
from lowerbound.randomness import scope

Write = Callable[..., Path]
Registry = dict[str, dict[str, type[parts.Part]]]
pytestmark = pytest.mark.usefixtures("registry")


def test_the_kinds() -> None:
    assert set(REGISTRY) == {"net", "posterior", "prior", "likelihood", "objective", "corruption", "missingness"}


def test_names_before_the_star_are_from_the_closed_list(kind: str, name: str) -> None:
    assert set(parts._given(find(kind, name))) <= set(GIVEN)


def test_another_name_before_the_star_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'width' stands before the star.*one of shape, latent"):

        class Wide(Net, name="wide"):
            def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], width: int) -> None: ...


def test_an_option_without_a_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="option 'width' has no type"):

        class Wide(Net, name="wide"):
            def __init__(self, inputs: tuple[int, ...], *, width=3) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("named", [{"name": "other"}, {}])
def test_a_final_part_cannot_be_extended(named: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"Child extends Standard, a final part.*compose"):

        class Child(Standard, **named): ...


def test_a_name_is_taken_once(write: Write) -> None:
    code = "class Mine(Prior, name='{}'):\n    def forward(self, context=None, infer=None): ..."
    assert [cls.name for cls in import_file(write(code.format("mine")))] == ["mine"]
    with pytest.raises(ConfigError, match="prior 'standard' is registered twice"):
        import_file(write(code.format("standard"), "other.py"))
    assert find("prior", "standard") is Standard


def test_an_unknown_part_or_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown net 'mpl': expected one of .*linear.*Did you mean 'mlp'\?"):
        build("net", {"name": "mpl"}, {})
    with pytest.raises(UnknownName, match=r"net 'mlp': unknown option 'width'.*Did you mean 'widths'\?"):
        MLP((2,), (2,), width=3)  # type: ignore[call-arg]
    with pytest.raises(UnknownName, match="a net needs a name"):
        build("net", {"widths": [3]}, {})


@pytest.mark.parametrize(
    ("make", "where", "expected"),
    [
        (lambda: MLP((2,), (2,), widths=[3, 0]), "net 'mlp', option 'widths.1'", "greater than or equal to 1"),
        (lambda: MLP((2,), (2,), widths=4), "net 'mlp', option 'widths'", "a valid list"),
        (lambda: MLP((2,), (2,), activation="rely"), "net 'mlp', option 'activation'", "'relu'"),
        (lambda: elbo(beta=-1.0), "objective 'elbo', option 'beta'", "greater than or equal to 0"),
        (lambda: elbo(beta=float("nan")), "objective 'elbo', option 'beta'", "finite"),
        (lambda: elbo(samples=2.0), "objective 'elbo', option 'samples'", "a valid integer"),
        (lambda: elbo(samples=True), "objective 'elbo', option 'samples'", "a valid integer"),
        (lambda: elbo(beta={"start": 0.0, "end": 1.0, "over": 2.0}), "option 'beta.over'", "less than or equal to 1"),
        (
            lambda: elbo(beta={"start": 0.0, "end": 1.0, "over": 0.5, "cycle": 2}),
            "option 'beta.cycle'",
            "not permitted",
        ),
        (lambda: elbo(beta={"start": 0.0, "end": 1.0}), "option 'beta.over'", "Field required"),
        (lambda: Dropout((2,), rate=1.0), "corruption 'dropout', option 'rate'", "less than 1"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused(make: Callable[[], Any], where: str, expected: str) -> None:
    with pytest.raises(BadOption) as caught:
        make()
    assert where in caught.value.where
    assert expected in caught.value.expected


def test_options_are_resolved_and_plain() -> None:
    with scope(0, "weights"):
        net, linear = MLP((2,), (2,), widths=(3, 4)), Linear((2,), (2,))  # a tuple is a list to whoever writes it
    assert spec(net) == {"name": "mlp", "widths": [3, 4], "activation": "relu"}
    assert spec(linear) == {"name": "linear"}
    assert (elbo(beta=2).beta, type(elbo(beta=2).beta)) == (2.0, float)


def test_a_required_option_left_out_is_refused() -> None:
    class Deep(Prior, name="deep_for_a_test"):
        def __init__(self, latent: int, *, layers: Count) -> None:
            super().__init__(latent)
            self.layers = layers

        def forward(self, context: Any = None, infer: Any = None) -> Any: ...

    assert "default" not in describe("prior", "deep_for_a_test")["options"]["layers"]
    with pytest.raises(BadOption, match=r"option 'layers'.*Field required"):
        Deep(2)  # type: ignore[call-arg]


def test_a_file_is_run_once_and_told_apart_by_its_content(write: Write) -> None:
    code = "class Mine(Prior, name='mine'):\n    def forward(self, context=None, infer=None): ..."
    (first,) = import_file(write(code))
    assert import_file(write(code)) == [first]
    assert parts.FOREIGN[first][0] == "mine.py"
    assert len(parts.FOREIGN[first][1]) == 64


def test_a_file_without_parts_and_no_file_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="registers no part"):
        import_file(write("x = 1"))
    with pytest.raises(ConfigError, match="no such file"):
        import_file(tmp_path / "absent.py")


def test_a_live_part_without_a_name_has_no_config(compose: Callable[..., VAE]) -> None:
    class Live(Prior):
        def forward(self, context: Any = None, infer: Any = None) -> Any: ...

    model = compose()
    model.prior_family = Live(2)
    with pytest.raises(Incompatible, match=r"the prior is a live module.*found Live"):
        model.spec  # noqa: B018  # a property that raises
