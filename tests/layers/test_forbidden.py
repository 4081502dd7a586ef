"""What the source must never do, and words that must not be in the tree."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "matplotlib.pyplot", "pylab", "yaml"}
CALLS = re.compile(
    r"eval|exec|torch\.(random\.)?(manual_seed|seed|set_rng_state)|torch\.cuda\.manual_seed\w*"
    r"|torch\.set_(default_\w+|num_\w*threads|deterministic\w*)|torch\.use_deterministic_algorithms"
    r"|torch\.distributions\.(\w+\.)*set_default_validate_args"
    r"|numpy\.random\.(?!default_rng|Generator|SeedSequence|Philox|PCG64)\w+|numpy\.set(err|_printoptions)\w*"
    r"|random\.(?!Random\b)\w+|matplotlib\.(use|rc|pyplot\..*)"
)
PUT_BACK = ("torch.set_num_threads", "torch.distributions.Distribution.set_default_validate_args")
KEYWORDS = {"allow_pickle": False, "weights_only": True}  # the only value each may have
WORDS = re.compile(
    r"/wor[k]/|\.\./share[d](?!/data\b)|/op[t]/|pyp[i]\.org|pythonhoste[d]|pytorch\.or[g]/whl"
    r"|--(extra-)?inde[x]-url|--fin[d]-links"
)
PLACES = (
    "src",
    "tests",
    "docs",
    "examples",
    "bench",
    ".ci",
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    ".gitignore",
)


def aliases(tree: ast.Module) -> dict[str, str]:
    """Local name -> what it stands for, from all imports of a module."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            pairs = [(a.asname, a.name) if a.asname else (a.name.split(".")[0],) * 2 for a in node.names]
            known |= dict(pairs)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known |= {(a.asname or a.name): f"{node.module}.{a.name}" for a in node.names}
    return known


def full_name(node: ast.expr, known: dict[str, str]) -> str:
    """``np.random.seed`` -> ``numpy.random.seed``; nothing for what starts at no import or builtin."""
    if isinstance(node, ast.Attribute):
        inner = full_name(node.value, known)
        return inner and f"{inner}.{node.attr}"
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id if node.id in ("eval", "exec") else "")
    return ""


def offences(name: str, tree: ast.Module) -> Iterator[str]:
    """One line for everything a module does that it must not."""
    known = aliases(tree)
    for module in sorted(MODULES & prefixes(known.values())):
        yield f"{name} imports {module}"
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        what = full_name(call.func, known)
        if CALLS.fullmatch(what) and not (name == "lowerbound.devices" and what in PUT_BACK):
            yield f"{name}:{call.lineno} calls {what}"
        for word in call.keywords:
            if word.arg in KEYWORDS and getattr(word.value, "value", None) is not KEYWORDS[word.arg]:
                yield f"{name}:{call.lineno} sets {word.arg}"


def prefixes(names: Iterable[str]) -> set[str]:
    """``a.b.c`` -> ``a``, ``a.b`` and ``a.b.c``."""
    parts = [name.split(".") for name in names]
    return {".".join(words[:n]) for words in parts for n in range(1, len(words) + 1)}


def test_the_source_does_nothing_forbidden(modules: dict[str, ast.Module]) -> None:
    assert not [line for name, tree in modules.items() for line in offences(name, tree)]


OFFENDERS = [
    "import pickle",
    "from joblib import load",
    "import matplotlib.pyplot as plt",
    "from matplotlib import pyplot",
    "def late():\n    import yaml",
    "eval('1')",
    "exec('x = 1')",
    "import numpy as np\nnp.load('x', allow_pickle=True)",
    "import numpy as np\nnp.load('x', allow_pickle=flag)",
    "import torch\ntorch.load('x', weights_only=False)",
    "import torch\ntorch.manual_seed(0)",
    "from torch import manual_seed\nmanual_seed(0)",
    "import torch\ntorch.set_default_dtype(torch.float64)",
    "import torch\ntorch.set_num_threads(1)",
    "from torch.distributions import Distribution\nDistribution.set_default_validate_args(False)",
    "import numpy as np\nnp.random.seed(0)",
    "import numpy as np\nnp.random.normal(3)",
    "from numpy import random\nrandom.rand(3)",
    "import random\nrandom.seed(0)",
    "from random import shuffle\nshuffle(x)",
]
HARMLESS = [
    "import torch\nmodel.eval()\ntorch.get_num_threads()",
    "import numpy as np\nnp.random.default_rng(0).normal(3)\nnp.load('x', allow_pickle=False)",
    "import random\nrandom.Random(0).random()",
    "from matplotlib.figure import Figure\nimport re\nre.compile('x')",
]


@pytest.mark.parametrize("code", OFFENDERS)
def test_an_offender_is_found(code: str) -> None:
    assert list(offences("lowerbound.model", ast.parse(code)))


@pytest.mark.parametrize("code", HARMLESS)
def test_the_harmless_passes(code: str) -> None:
    assert not list(offences("lowerbound.model", ast.parse(code)))


def test_threads_are_set_in_one_place() -> None:
    tree = ast.parse("import torch\ntorch.set_num_threads(2)")
    assert not list(offences("lowerbound.devices", tree))


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Path and text of every file that belongs to the project."""
    places = [*(root / place for place in PLACES), *root.glob("*.md")]
    files = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    for path in sorted(path for path in files if path.is_file() and "__pycache__" not in path.parts):
        yield path.relative_to(root).as_posix(), path.read_bytes().decode("utf-8", errors="replace")


def test_the_tree_names_no_machine_and_no_index(root: Path) -> None:
    assert not [f"{path}: {match[0]}" for path, text in texts(root) for match in WORDS.finditer(text)]


def test_a_forbidden_word_is_found(tmp_path: Path) -> None:
    bad = ["/wor" + "k/x", "../share" + "d/docs", "/op" + "t/x", "pyp" + "i.org", "--inde" + "x-url"]
    (tmp_path / "docs").mkdir()
    for number, word in enumerate(bad):
        (tmp_path / f"docs/{number}.md").write_text(f"see {word}")
    (tmp_path / "README.md").write_text("../share" + "d/data and working/optional are fine")
    assert [path for path, text in texts(tmp_path) if WORDS.search(text)] == [f"docs/{n}.md" for n in range(len(bad))]
