"""When steps are compiled, and that compiling changes nothing but rounding."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Distribution

from lowerbound import devices
from lowerbound.batches import Rows
from lowerbound.config import TrainConfig
from lowerbound.loop import Loop
from lowerbound.model import assemble
from lowerbound.objectives import elbo

NET, CONV = {"name": "mlp", "widths": [64]}, {"name": "conv"}


def loop(net: dict[str, Any], **settings: Any) -> Loop:
    spec = {"shape": [1, 8, 8], "latent": 2, "encoder": net, "decoder": net}
    spec |= {kind: {"name": name} for kind, name in (("posterior", "gaussian"), ("prior", "standard"))}
    model = assemble(spec | {"likelihood": {"name": "bernoulli"}})
    rows = Rows(np.random.default_rng(0).random((70, 1, 8, 8), np.float32), binarize="sample")
    return Loop(model, elbo(), rows, TrainConfig(**{"batch": 32, "epochs": 2, "compile": "auto"} | settings), seed=0)


@pytest.mark.parametrize(
    ("net", "settings", "compiled"),
    [
        (NET, {}, False),
        (NET, {"epochs": 10**7}, True),
        (CONV, {"epochs": 10**7}, False),
        (NET, {"compile": "off"}, False),
    ],
)
def test_auto_follows_from_sizes(
    net: dict[str, Any], settings: dict[str, Any], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.shutil, "which", lambda name: name)
    monkeypatch.setattr(devices, "compiled", lambda function: function)  # only the decision is looked at
    assert (loop(net, **settings)._fast is not None) == compiled


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.shutil, "which", lambda name: None)
    assert not devices.compiling_pays(1e30)


@pytest.mark.acceptance
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its compiler
def test_compiled_steps_are_the_eager_ones_up_to_rounding() -> None:
    before = Distribution._validate_args
    eager, fast = loop(NET, compile="off"), loop(NET, compile="on")
    for training in (eager, fast):
        while not training.done:
            training.advance()
    assert Distribution._validate_args == before
    for a, b in zip(eager.weights, fast.weights, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
