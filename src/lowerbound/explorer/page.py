"""One HTML file from a payload: policy, style, script and data inside, nothing fetched."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lowerbound import page as report
from lowerbound.markup import finite

FOLDER = Path(__file__).parent
PARTS = (
    "dom", "weights", "nets", "quantiles", "columns", "likelihoods", "geometry", "palette", "texts", "world", "point",
    "picture", "strip", "sheet", "cells", "ground", "map", "decoded", "given", "sliders", "blends", "directions",
    "galleries", "boot",
)  # fmt: skip
SCRIPTS = (*PARTS, "start")
LIVE = (
    *PARTS, "api", "rows", "far", "csv", "form", "holes", "scored", "own", "beside", "curves", "training", "live",
)  # fmt: skip
LIVE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
IMPORT = re.compile(r'^import (\{.*?\}) from "\./(\w+)\.js";', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def page(payload: Mapping[str, Any], arrays: str) -> str:
    """The page as HTML.

    Args:
        payload: plain values; texts of any content are harmless.
        arrays: the blob that the payload refers to.
    """
    style, code = _style(), script(SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_hash(code)}'; style-src '{_hash(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    scripts = (
        f'<script type="application/json" id="payload">{_json(payload)}</script>\n'
        f'<script type="text/plain" id="arrays">{arrays}</script>\n<script type="module">{code}</script>'
    )
    return _filled(POLICY=policy, STYLE=f"<style>{style}</style>", SCRIPTS=scripts, BEFORE="", MORE="")


def live() -> dict[str, tuple[str, bytes]]:
    """The page without any data, as a server gives it: address to kind of content and content."""
    texts = {name: (FOLDER / f"{name}.html").read_text("utf-8") for name in ("training", "live")}
    frame = _filled(
        POLICY=LIVE_POLICY, STYLE='<link rel="stylesheet" href="/explorer.css">', BEFORE=texts["training"],
        MORE=texts["live"], SCRIPTS='<script type="module" src="/explorer.js"></script>',
    )  # fmt: skip
    style = _style() + "\n" + (FOLDER / "live.css").read_text("utf-8")
    made = {"/": ("text/html", frame), "/explorer.css": ("text/css", style),
            "/explorer.js": ("text/javascript", script(LIVE))}  # fmt: skip
    return {path: (f"{kind}; charset=utf-8", text.encode()) for path, (kind, text) in made.items()}


def _filled(**slots: str) -> str:
    frame = (FOLDER / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: slots[slot[1]], frame)


def script(names: Sequence[str] = SCRIPTS) -> str:
    """Modules of the page as one, in an order in which each comes after those that it imports."""
    return "\n".join(_scope(name, (FOLDER / f"{name}.js").read_text("utf-8")) for name in names)


def _scope(name: str, text: str) -> str:
    """A module as a function that is called at once, so that its names stay its own."""
    body = EXPORT.sub(r"\1", IMPORT.sub(r"const \1 = $\2;", text))
    given = ", ".join(word for _, word in EXPORT.findall(text))
    return f"const ${name} = (() => {{\n{body}return {{ {given} }};\n}})();\n"


def _style() -> str:
    """That of the report, and what only this page has."""
    shared = Path(report.__file__).with_name("page.css")
    return "\n".join(path.read_text("utf-8") for path in (shared, FOLDER / "page.css"))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(payload: Mapping[str, Any]) -> str:
    r"""JSON that ends no element and opens none: every ``<`` is written ``\u003c``."""
    return json.dumps(finite(payload), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
