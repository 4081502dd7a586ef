"""A small catalogue, so that these tests depend on no part."""

from typing import Any

import pytest

from lowerbound import catalogue

SMALL: dict[str, dict[str, dict[str, Any]]] = {
    "net": {"mlp": {"options": {"widths": {"type": "list of integer", "default": [8]}}}, "linear": {"options": {}}},
    "posterior": {"gaussian": {"options": {}}},
    "prior": {
        "standard": {"options": {}},
        "heavy": {
            "options": {
                "freedom": {"type": "number"},
                "scale": {"type": "string", "default": "fixed", "choices": ["fixed", "learned"]},
                "level": {"type": "integer", "default": 1, "choices": [1, 2]},
                "floor": {"type": "number | null", "default": None},
            }
        },
    },
    "likelihood": {"gaussian": {"options": {}}},
    "objective": {"elbo": {"options": {"beta": {"type": "number | table", "default": 1.0}}}},
    "corruption": {"dropout": {"options": {"rate": {"type": "number", "default": 0.25}}}},
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "catalogue", lambda: SMALL)
