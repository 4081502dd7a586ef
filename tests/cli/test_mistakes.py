"""A user's mistake is one line and an exit code; nothing is overwritten, nothing is lost."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from lowerbound.cli.verbs import verdict

Invoke = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]

HEAVY = '''
import torch
from torch.distributions import Distribution, StudentT

from lowerbound.priors import Infer, Prior


class Heavy(Prior, name="heavy"):
    """Student's t in every dimension."""

    def __init__(self, latent: int, *, freedom: float = 3.0) -> None:
        super().__init__(latent)
        self.freedom = freedom

    def forward(self, context: torch.Tensor | None = None, infer: Infer | None = None) -> Distribution:
        return StudentT(torch.full((self.latent,), self.freedom), validate_args=False)
'''


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("fit digits --recipe sigma-vea", 2, "error E-CONFIG-NAME: unknown recipe.*Did you mean 'sigma-vae'"),
        ("fit digits --likelihood gausian", 2, "error E-CONFIG-NAME: .*Did you mean 'gaussian'"),
        ("fit digits --prior standard:scale=2", 2, "error E-CONFIG-NAME: "),
        ("fit digits --likelihood gaussian:scale=wide", 2, "error E-CONFIG-OPTION: .*learned"),
        ("fit digits --set nonsense", 2, "error E-CONFIG-OPTION: --set: "),
        ("fit digits --device cuda:99", 2, "error E-CONFIG"),
        ("fit digits --epoch 3", 2, "No such option: --epoch.*--epochs"),
        ("fit digits --latent two", 2, "Invalid value for"),
        ("fit", 2, "Missing argument 'DATA'"),
        ("evaluat", 2, "Did you mean 'evaluate'"),
        ("data lst", 2, "Did you mean 'list'"),
        ("recipes vea", 2, "error E-CONFIG-NAME: .*Did you mean 'vae'"),
        ("parts priors", 2, "error E-CONFIG-NAME: .*Did you mean 'prior'"),
        ("parts prior standrd", 2, "error E-CONFIG-NAME: .*Did you mean 'standard'"),
        ("data fetch digts", 2, "error E-CONFIG-NAME: .*Did you mean 'digits'"),
        ("fit diggits", 3, "error E-DATA-NOT-FOUND: .*Did you mean 'digits'"),
        ("data show nothing.csv", 3, "error E-DATA-NOT-FOUND: nothing.csv"),
        ("evaluate nothing", 4, "error E-RUN: nothing: not a run folder"),
        ("check nothing.py", 2, "error E-CONFIG: nothing.py: no such file"),
        ("fit digits --import nothing.py", 2, "error E-CONFIG: nothing.py: no such file"),
    ],
)
def test_mistakes(
    words: str, code: int, message: str, cli: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli(*words.split(), "--json", code=code)
    assert done.stdout == ""
    assert message.split(".*")[0] in done.stderr
    assert message.split(".*")[-1] in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Usage") or done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("evaluate RUN nothing.csv", 3, "E-DATA-NOT-FOUND"),
        ("evaluate RUN wide.csv", 3, "E-DATA-SHAPE"),
        ("evaluate RUN --samples 0", 2, "--samples"),
        ("evaluate RUN --import nothing.py", 2, "nothing.py: no such file"),
        ("decode RUN wide.csv --out x.npy", 3, "E-DATA-SHAPE"),
        ("encode RUN --out x.txt", 2, "expected .npy or .csv or .parquet or .png"),
        ("encode RUN --out x.png", 3, "E-DATA-SHAPE"),
        ("sample RUN --out x.npy -n 0", 2, "rows 0"),
        ("sample RUN --out x.npy --temperature nan", 2, "temperature nan"),
        ("sample RUN --out x.npy --kind mode", 2, "kind 'mode'"),
        ("sample RUN --out wide.csv", 2, "error E-OUTPUT-EXISTS: wide.csv: already there"),
        ("score RUN --out wide.csv", 2, "error E-OUTPUT-EXISTS: "),
        ("fit digits --out RUN", 2, "error E-OUTPUT-EXISTS: "),
        ("fit digits --out . --force", 2, "a folder that is not a run"),
        ("sample RUN --out wide.csv/x.npy", 5, "error: "),
    ],
)
def test_mistakes_with_a_run(
    words: str, code: int, message: str, cli: Invoke, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wide.csv").write_text("a,b,c\n1,2,3\n")
    done = cli(*(run if word == "RUN" else word for word in words.split()), code=code)
    assert message in done.stderr
    assert (done.stdout, [path.name for path in tmp_path.iterdir()]) == ("", ["wide.csv"])
    assert Path("wide.csv").read_text() == "a,b,c\n1,2,3\n"


def test_force_writes_over(cli: Invoke, run: str, tmp_path: Path) -> None:
    out = tmp_path / "z.npy"
    cli("encode", run, "--out", out)
    before = out.read_bytes()
    cli("encode", run, "digits", "--out", out, "--force")
    assert len(out.read_bytes()) > len(before)
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    cli("fit", "digits", "--recipe", "pca", "--latent", 3, "--out", copy, "--force", "--quiet")
    assert not (copy / "figures/training.png").exists(), "a figure of the run before"


def test_a_damaged_run(cli: Invoke, run: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-4] + b"abcd")
    assert "E-RUN: " in cli("evaluate", copy, code=4).stderr


def test_the_unexpected_is_one_line_too(cli: Invoke, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a\x1b[31mb\nsecond line")

    monkeypatch.setattr("lowerbound.tasks.evaluate.evaluate", broken)
    line = "error: ZeroDivisionError: ab. This is a defect of lowerbound; --debug shows where.\n"
    assert cli("evaluate", run, code=1).stderr == line
    debugged = cli("evaluate", run, "--debug", code=1).stderr
    assert debugged.startswith("Traceback")
    assert debugged.endswith(line)


def test_a_full_disk_is_no_defect() -> None:
    assert verdict(OSError(28, "No space left on device")) == ("error: No space left on device", 5)
    assert verdict(PermissionError(13, "Permission denied", "x.npy")) == ("error: Permission denied: x.npy", 5)


def test_without_matplotlib(cli: Invoke, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowerbound.figures.canvas.find_spec", lambda _: None)
    assert "error E-EXTRA: " in cli("sample", run, "--out", tmp_path / "s.png", code=1).stderr
    done = cli("fit", "digits", "--epochs", 0, "--out", tmp_path / "run", "--quiet")
    assert done.stderr.count("\n") == 1
    assert "pip install 'lowerbound[plot]'" in done.stderr
    assert (tmp_path / "run/model.json").exists()


@pytest.mark.usefixtures("own_parts")
def test_a_part_of_ones_own(cli: Invoke, tmp_path: Path) -> None:
    file, out = tmp_path / "heavy.py", tmp_path / "run"
    file.write_text(HEAVY)
    given = ["--import", file]
    cli("fit", "digits", "--epochs", 1, "--latent", 2, "--prior", "heavy:freedom=5", *given, "--out", out)
    assert '"freedom": 5' in (out / "model.json").read_text()
    assert "log p(x)" in cli("evaluate", out, "--samples", 4, *given).stdout
    cli("sample", out, "--out", tmp_path / "s.npy", *given)
    assert "E-RUN-IMPORT" in cli("evaluate", out, code=4).stderr
    assert (
        "Did you mean 'heavy'"
        in cli("fit", "digits", "--prior", "hevy", *given, "--out", tmp_path / "b", code=2).stderr
    )
    file.write_text(HEAVY + "# changed\n")
    assert "another SHA-256" in cli("evaluate", out, *given, code=4).stderr


@pytest.mark.usefixtures("own_parts")
def test_a_file_that_cannot_be_run(cli: Invoke, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    found = cli("fit", "digits", "--import", tmp_path / "broken.py", "--out", tmp_path / "run", code=2).stderr
    assert "broken.py: cannot be run: found ZeroDivisionError" in found


@pytest.mark.usefixtures("own_parts")
def test_check(cli: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "heavy.py"
    file.write_text(HEAVY)  # documents neither its option nor its source
    assert "FAILED  prior 'heavy': the source is named" in cli("check", file, code=1).stdout
    found = json.loads(cli("check", file, "--json", code=1).stdout)
    assert found["failed"] == sum(not one["passed"] for one in found["checks"]) > 0
    assert {"name", "passed", "value", "expected", "tolerance"} <= set(found["checks"][0])


@pytest.mark.parametrize("words", ["recipes", "parts --json", "fit --help", "selftest oracle/iris-q1"])
def test_a_reader_who_has_had_enough(words: str, start: Start) -> None:
    process = start(*words.split())
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


def test_ctrl_c_keeps_the_run(start: Start, cli: Invoke, tmp_path: Path) -> None:
    def heed() -> None:  # a shell may have told its children to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    out = tmp_path / "run"
    words = ["fit", "digits", "--latent", 2, "--epochs", 10**6, "--set", "patience=0", "--out", out, "--json"]
    with start(*words, preexec_fn=heed) as process:
        assert process.stderr
        assert process.stdout
        while not process.stderr.readline().startswith("loss: "):
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        found: dict[str, Any] = json.loads(process.stdout.read())
        assert process.stderr.read() == ""
        assert process.wait() == 130
    assert (found["run"], found["stopped"]) == (str(out), "interrupted")
    assert "ELBO" in cli("evaluate", out, "--samples", 2).stdout


def test_ctrl_c_elsewhere_says_so(cli: Invoke, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lowerbound.tasks.evaluate.evaluate", interrupted)
    assert cli("evaluate", run, code=130).stderr == "interrupted\n"
