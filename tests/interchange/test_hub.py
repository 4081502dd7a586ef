"""A run in the layout of the Hub, there and back."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.errors import BadOption, MissingExtra, OutputExists, RunError
from lowerbound.interchange.hub import FILES, card, from_pretrained, push_to_hub, save_pretrained

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> lb.Run:
    path = tmp_path_factory.mktemp("secret-place") / "numbers.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(60, 3)), delimiter=",", header="a,b,c", comments="")
    return lb.fit(path, latent=2, epochs=1, progress=False)


class Hub(ModuleType):
    """Keeps what is uploaded."""

    def __init__(self, kept: Path) -> None:
        super().__init__("huggingface_hub")
        self.kept, self.calls = kept, list[Any]()
        hub = self

        class HfApi:
            def __init__(self, token: str | None) -> None:
                hub.calls.append(("token", token))

            def create_repo(self, name: str, private: bool, exist_ok: bool) -> None:
                hub.calls.append(("create", name, private, exist_ok))

            def upload_folder(self, repo_id: str, folder_path: Path, allow_patterns: list[str]) -> str:
                for path in Path(folder_path).iterdir():
                    assert path.name in allow_patterns
                    (hub.kept / path.name).write_bytes(path.read_bytes())
                return f"https://hub/{repo_id}/commit"

        self.HfApi = HfApi

    def snapshot_download(self, name: str, revision: str, allow_patterns: list[str]) -> str:
        self.calls.append(("download", name, revision, tuple(allow_patterns)))
        return str(self.kept)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    (tmp_path / "hub").mkdir()
    made = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", made)
    return made


def test_there_and_back(run: lb.Run, tmp_path: Path) -> None:
    folder = save_pretrained(run, tmp_path / "model")
    again, rows = from_pretrained(folder), run.rows()
    assert (lb.encode(again, rows) == lb.encode(run, rows)).all()
    config = json.loads((folder / "config.json").read_text())
    assert (config["latent"], config["library_name"]) == (2, "lowerbound")
    assert run.facts["source"]  # what was saved is a copy
    for path in folder.iterdir():
        assert b"secret-place" not in path.read_bytes(), path.name
        assert path.name in FILES
    with pytest.raises(OutputExists):
        save_pretrained(run, folder)


def test_the_card_tells_the_numbers_of_the_run(run: lb.Run) -> None:
    text = card(run)
    assert f"| elbo | {run.history[-1]['validation_elbo']:.4g} |" in text
    assert "library_name: lowerbound" in text.split("---")[1]
    assert "a lower bound on log p(x)" in text


def test_up_and_down(run: lb.Run, hub: Hub) -> None:
    assert push_to_hub(run, "me/model", token="t") == "https://hub/me/model/commit"
    assert hub.calls == [("token", "t"), ("create", "me/model", True, True)]
    again = from_pretrained("me/model", revision=COMMIT)
    assert hub.calls[-1] == ("download", "me/model", COMMIT, FILES)
    rows = run.rows()
    assert (lb.encode(again, rows) == lb.encode(run, rows)).all()


@pytest.mark.parametrize("revision", ["", "main", COMMIT[:-1], COMMIT.upper()])
def test_only_a_commit_is_downloaded(hub: Hub, revision: str) -> None:
    with pytest.raises(BadOption, match="40 digits"):
        from_pretrained("me/model", revision=revision)
    assert not hub.calls


def test_a_configuration_larger_than_its_weights_is_refused_before_it_is_made(
    run: lb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_pretrained(run, tmp_path / "model")
    facts = json.loads((folder / "model.json").read_text())
    facts["spec"]["encoder"] = {"name": "mlp", "widths": [1_000_000, 1_000_000]}  # 4 TB
    (folder / "model.json").write_text(json.dumps(facts))
    monkeypatch.setattr("lowerbound.run.assemble", lambda *_: pytest.fail("made"))
    with pytest.raises(RunError, match="not those of the configuration"):
        from_pretrained(folder)
    (folder / "model.json").write_text("{}" + " " * (1 << 20))
    with pytest.raises(RunError, match="not a run"):
        from_pretrained(folder)
    (folder / "model.json").write_text('{"spec": {"shape": 3}}')
    with pytest.raises(RunError, match="cannot be read"):
        from_pretrained(folder)


def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match="hub"):
        from_pretrained("me/model", revision=COMMIT)
