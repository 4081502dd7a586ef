"""Run the scripts of docs/learn: draw their pictures and put what they print into their pages."""

import io
import re
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs/learn"
NAMES = ("holes", "pca", "elbo", "gap", "importance", "gradients", "sigma", "beta", "missing", "style")
OUTPUT = re.compile(r"```text\n(.*?)```", re.DOTALL)


def ran(name: str, *, draw: bool = False) -> tuple[str, dict[str, object]]:
    """What a script prints and the names that it defines; its picture is written if ``draw``."""
    said = io.StringIO()
    sys.path.insert(0, str(FOLDER))
    try:
        with redirect_stdout(said):
            found = runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__" if draw else name)
    finally:
        sys.path.remove(str(FOLDER))
    return said.getvalue(), found


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        text = ran(name, draw=True)[0]
        page = FOLDER / f"{name}.md"
        page.write_text(OUTPUT.sub(lambda _: f"```text\n{text}```", page.read_text("utf-8")), encoding="utf-8")  # noqa: B023
