"""``check`` on a user's file: sound parts pass, a broken one fails where it is broken, and by name."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import lowerbound
from lowerbound.checks import Check, check
from lowerbound.errors import ConfigError, UnknownName

pytestmark = pytest.mark.usefixtures("registry")

HEAVY = '''
from torch.distributions import StudentT

class Density(StudentT):
    def log_prob(self, value):
        return super().log_prob(value){shift}

class {cls}(Prior, name="{name}"):
    """Student's t, for codes with outliers.

    Source: Student 1908, "The probable error of a mean", Biometrika 6.

    Args:
        latent: dimension of z.
        freedom: degrees of freedom.
    """

    def __init__(self, latent: int, *, freedom: Positive = 5.0) -> None:
        super().__init__(latent)
        self.freedom = freedom
        self.register_buffer("zero", torch.zeros(latent), persistent=False)

    def forward(self, context=None, infer=None):
        return Density({freedom}, self.zero, 1.0, validate_args=False)
'''


def heavy(shift: str = "", name: str = "heavy", freedom: str = "self.freedom") -> str:
    return HEAVY.format(shift=shift, cls=name.title(), name=name, freedom=freedom)


def failed(found: list[Check]) -> set[str]:
    return {one.name for one in found if not one.passed}


def test_a_sound_file_passes(write: Callable[..., Path]) -> None:
    found = lowerbound.check(write(heavy()))
    assert not failed(found)
    assert "prior 'heavy': density integrates to one" in {one.name for one in found}
    assert json.loads(json.dumps([asdict(one) for one in found], allow_nan=False))[0]["passed"] is True


def test_a_wrong_normaliser_is_caught(write: Callable[..., Path]) -> None:
    found = check(write(heavy(" + 0.1")))
    assert failed(found) == {"prior 'heavy': density integrates to one"}
    (one,) = (one for one in found if not one.passed)
    assert one.value == pytest.approx(1.2214, rel=1e-3)  # e^(0.1 * 2) where it is worst, in two dimensions
    assert (one.expected, one.tolerance) == (1.0, 2e-3)


def test_an_option_that_does_nothing_is_caught(write: Callable[..., Path]) -> None:
    found = check(write(heavy(freedom="5.0")))
    assert failed(found) == {"prior 'heavy': every option changes something or is refused"}


BROKEN = {
    "options are stored under their own names": ("self.freedom = freedom", "self.degrees = freedom"),
    "options are documented under Args": ("        freedom: degrees of freedom.\n", ""),
    "the source is named": ("Source", "By"),
    "samples have the distribution of the density (Kolmogorov-Smirnov)": (
        "class Density(StudentT):", "class Density(StudentT):\n    def rsample(self, shape):\n"
        "        return super().rsample(shape) + 0.2\n",
    ),
    "every weight gets a finite gradient": (
        "self.freedom = freedom", "self.freedom = freedom\n        self.idle = torch.nn.Parameter(torch.zeros(1))"
    ),
    "the config makes the same part again": ("Positive = 5.0", "Positive | None = None"),
    "global random state is left alone": ("return Density(", "torch.rand(1)\n        return Density("),
    "KL agrees with sampling, in standard errors": (
        "return super().log_prob(value)", "self.calls = getattr(self, 'calls', 0) + 1\n"
        "        return super().log_prob(value) + self.calls",
    ),
    "the same seed gives the same answer": (
        'self.register_buffer("zero", torch.zeros(latent)',
        'self.register_buffer("zero", torch.zeros(latent) + id(self) % 1013 / 1013',
    ),
    "shapes are what tasks count on": ("return Density(", "return torch.distributions.Gamma(torch.ones(2, 3), 1.0)("),
}  # fmt: skip


@pytest.mark.parametrize("claim", BROKEN)
def test_each_fault_is_caught_by_its_claim(write: Callable[..., Path], claim: str) -> None:
    code = heavy().replace(*BROKEN[claim])
    if "degrees" in code:
        code = code.replace("Density(self.freedom", "Density(self.degrees")
    assert f"prior 'heavy': {claim}" in failed(check(write(code)))


def test_a_part_that_cannot_be_built_is_a_finding(write: Callable[..., Path]) -> None:
    (found,) = check(write(heavy().replace("super().__init__(latent)", "super().__init__(latent / 0)")))
    assert (found.name, found.passed) == ("prior 'heavy': can be built", False)
    assert "ZeroDivisionError" in found.detail


def test_a_part_that_raises_is_a_finding(write: Callable[..., Path]) -> None:
    found = check(write(heavy().replace("return Density(", "return 1 / 0 * Density(")))
    assert "prior 'heavy': density integrates to one" in failed(found)
    assert all("ZeroDivisionError" in one.detail for one in found if "density" in one.name)


POSTERIOR = '''
from lowerbound.posteriors import Posterior
from torch.distributions import Normal

class Wide(Posterior, name="wide"):
    """Source: nobody."""

    @property
    def numbers(self):
        return self.latent

    def forward(self, numbers):
        return Normal(numbers - numbers.mean(0) * {coupled}, 1.0, validate_args=False)

    def draw(self, q, eps):
        return q.mean + {factor} * eps
'''


@pytest.mark.parametrize(
    ("coupled", "factor", "claims"),
    [
        (0, 1.0, set()),
        (0, 1.2, {"samples have the distribution of the density (Kolmogorov-Smirnov)",
                  "samples have the mean and variance declared, in standard errors"}),
        (1, 1.0, {"a row does not depend on the batch"}),
    ],
)  # fmt: skip
def test_a_posterior_is_held_to_its_density(
    write: Callable[..., Path], coupled: int, factor: float, claims: set[str]
) -> None:
    found = check(write(POSTERIOR.format(coupled=coupled, factor=factor)))
    assert failed(found) == {f"posterior 'wide': {claim}" for claim in claims}


def test_a_density_that_is_not_declared_is_caught(write: Callable[..., Path]) -> None:
    code = POSTERIOR.format(coupled=0, factor=0.0).replace(
        "    @property", "    has_density = False\n\n    @property", 1
    )
    assert failed(check(write(code))) == {"posterior 'wide': a missing density is refused"}


NET = '''
import math
from lowerbound.nets import Net

class Plain(Net, name="plain"):
    """Source: nobody."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__(inputs, outputs)
        self.map = torch.nn.Linear(math.prod(inputs), {size})

    def forward(self, x):
        y = self.map(x.flatten(1)).unflatten(1, {shape})
        return y - {coupled} * y.mean(0)
'''


@pytest.mark.parametrize(
    ("size", "shape", "coupled", "claims"),
    [
        ("math.prod(outputs)", "self.outputs", 0, set()),
        ("4", "(4,)", 0, {"outputs have the shape asked for"}),
        ("math.prod(outputs)", "self.outputs", 0.5, {"a row does not depend on the batch"}),
    ],
)
def test_a_net_is_held_to_its_shapes(
    write: Callable[..., Path], size: str, shape: str, coupled: float, claims: set[str]
) -> None:
    found = check(write(NET.format(size=size, shape=shape, coupled=coupled)))
    assert failed(found) == {f"net 'plain': {claim}" for claim in claims}


LIKELIHOOD = '''
from lowerbound.likelihoods import Likelihood
from torch.distributions import Laplace

class Density(Laplace):
    def log_prob(self, value):
        return {log_prob}

class Sharp(Likelihood, name="sharp"):
    """Source: Laplace 1774."""

    def forward(self, numbers):
        return Density(numbers, 1.0, validate_args=False)
'''


@pytest.mark.parametrize(
    ("log_prob", "claims"),
    [
        ("super().log_prob(value)", set()),
        ("super().log_prob(value) - 0.1", {"probability of all values of a cell is one"}),
        ("super().log_prob(value + 1.0) + 0 * value", set()),
        ("super().log_prob(value).sum(-1, keepdim=True)",
         {"log_prob has one entry per cell", "probability of all values of a cell is one"}),
        ("super().log_prob(value) + 0.01 * value.mean()", {"a row does not depend on the batch"}),
    ],
)  # fmt: skip
def test_a_likelihood_is_held_to_its_cells(write: Callable[..., Path], log_prob: str, claims: set[str]) -> None:
    found = check(write(LIKELIHOOD.format(log_prob=log_prob)))
    assert failed(found) >= {f"likelihood 'sharp': {claim}" for claim in claims}
    assert bool(claims) == bool(failed(found))


POSITIVE = '''
from lowerbound.likelihoods import Likelihood
from torch.distributions import Distribution, LogNormal

class Shifted(LogNormal):
    def sample(self, shape=()):
        return super().sample(shape) + {shift}

class Incomes(Likelihood, name="incomes"):
    """Source: nobody."""

    support = "positive"
    fill = {fill}

    def forward(self, numbers):
        return Shifted(numbers, 1.0, validate_args=False)
'''


@pytest.mark.parametrize(
    ("fill", "shift", "claims"),
    [
        (1.0, 0.0, set()),
        (0.0, 0.0, {"what stands in masked cells changes neither loss nor gradient"}),
        (1.0, 0.5, {"samples have the mean declared, in standard errors"}),
    ],
)
def test_a_likelihood_is_held_to_its_support(
    write: Callable[..., Path], fill: float, shift: float, claims: set[str]
) -> None:
    found = check(write(POSITIVE.format(fill=fill, shift=shift)))
    assert failed(found) == {f"likelihood 'incomes': {claim}" for claim in claims}
    assert "likelihood 'incomes': probability of all values of a cell is one" in {one.name for one in found}


OBJECTIVE = '''
from lowerbound.objectives import Objective, Terms, StepContext

class Odd(Objective, name="odd"):
    """Source: nobody.

    Args:
        pull: weight of the codes' size.
    """

    def __init__(self, *, pull: NonNegative = 1.0) -> None:
        super().__init__()
        self.pull = pull

    def forward(self, model, batch, context=None):
        context = context or StepContext.fresh(self, model, batch)
        cost = model.posterior(batch.x).mean.square().sum(1)
        gain = model.log_likelihood(model.likelihood(model.posterior(batch.x).mean), batch.x)
        row = gain - self.pull * cost
        return Terms({loss}, row.detach(), row.detach(), {{"cost": cost.detach()}}, context.rows_total)
'''


@pytest.mark.parametrize(
    ("loss", "claims"),
    [
        ("-context.average(row)", set()),
        ("-row.mean()", {"the losses of shares of a batch add up"}),
        ("-context.average(row) - 0.1 * gain[0]",
         {"the order of the batch does not matter", "the losses of shares of a batch add up"}),
        ("-context.average(gain - cost)", {"every option changes something or is refused"}),
        ("-context.average(row).detach()", {"every weight gets a finite gradient"}),
        ("-context.average(row).reshape(1)", {"terms have their shapes and are finite"}),
    ],
)  # fmt: skip
def test_an_objective_is_held_to_its_rows(write: Callable[..., Path], loss: str, claims: set[str]) -> None:
    found = check(write(OBJECTIVE.format(loss=loss)))
    assert failed(found) == {f"objective 'odd': {claim}" for claim in claims}


CORRUPTION = '''
from lowerbound.corruptions import Corruption

class Blur(Corruption, name="blur"):
    """Source: nobody."""

    def forward(self, x, noise):
        return {made}
'''


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        ("x * noise", ""),
        ("x", "does nothing"),
        ("x.mul_(noise)", "writes into its input"),
        ("x[:, :1]", "changes the shape"),
        ("x + torch.rand(x.shape, generator=torch.Generator().manual_seed(torch.Generator().seed()))", "differs"),
    ],
)
def test_a_corruption_is_held_to_its_noise(write: Callable[..., Path], made: str, fault: str) -> None:
    found = [one for one in check(write(CORRUPTION.format(made=made))) if "does something" in one.name]
    assert [(one.passed, fault in one.detail) for one in found] == [(not fault, True)]


def test_a_corruption_of_a_row_is_its_own(write: Callable[..., Path]) -> None:
    found = check(write(CORRUPTION.format(made="x * noise.mean()")))
    assert failed(found) == {"corruption 'blur': a row does not depend on the batch"}


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown prior 'hevy'"):
        check("prior:hevy")
    with pytest.raises(ConfigError, match="no such file"):
        check("absent.py")
