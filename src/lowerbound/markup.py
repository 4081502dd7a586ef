"""Values as HTML, SVG and JSON: every text is escaped, unless it is markup that was made here."""

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

VOID = {"meta", "img", "br"}
OURS = "ours"
SHADES = ("bar", "bar2", "bar3")
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # also turns of text
WIDTH, LABELS, VALUES, STEP = 720, 210, 120, 30  # of a drawing, in its own units


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """A value as text that no browser takes for markup; control characters become a mark.

    >>> escape("</script>")
    '&lt;/script&gt;'
    """
    return value if isinstance(value, Markup) else Markup(html.escape(UNSEEN.sub("\ufffd", str(value))))


def join(parts: Iterable[object]) -> Markup:
    """The parts one after the other."""
    return Markup("".join(map(escape, parts)))


def tag(element: str, *content: object, **attributes: object) -> Markup:
    """An element. Underscores of attribute names become hyphens, a last one is dropped; None leaves one out.

    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    words = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opening = " ".join([element, *(f'{key}="{escape(value)}"' for key, value in words.items())])
    return Markup(f"<{opening}>") if element in VOID else Markup(f"<{opening}>{join(content)}</{element}>")


def table(
    rows: Iterable[Sequence[object]], head: Sequence[object] = (), ours: int | None = None, kind: str | None = None
) -> Markup:
    """A table whose rows begin with their name; the row ``ours`` stands out."""
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))) if head else Markup("")
    lines = [
        tag(
            "tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells), class_=OURS if i == ours else None
        )
        for i, (name, *cells) in enumerate(rows)
    ]
    return tag("div", tag("table", top, tag("tbody", *lines), class_=kind), class_="wide")


def finite(value: Any) -> Any:
    """Plain values that JSON can hold: null for what is no finite number.

    >>> finite({"se": float("nan"), "kl": (1.0, 2)})
    {'se': None, 'kl': [1.0, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None, digits: int = 2) -> str:
    """A number for people, with a real minus sign; a dash where there is none.

    >>> number(-1.005), number(None)
    ('−1.00', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def dots(rows: Sequence[tuple[str, float, float | None]], about: str) -> Markup:
    """A dot a row with its standard error and its value, on one scale.

    Args:
        rows: name, mean, standard error.
        about: what it shows, for those who do not see it.
    """
    ends = [mean + sign * (se or 0.0) for _, mean, se in rows for sign in (-1, 1)]
    low, high = min(ends), max(ends)
    room = WIDTH - LABELS - VALUES
    scale = room / (high - low) if high > low else 0.0
    made = []
    for i, (name, mean, se) in enumerate(rows):
        x, y = LABELS + (mean - low) * scale, STEP * (i + 0.5)
        made.append(tag("line", x1=LABELS, x2=LABELS + room, y1=y, y2=y, class_="rule"))
        made.append(tag("text", name, x=0, y=y + 4, class_="ink"))
        if se is not None and math.isfinite(se):
            made.append(tag("line", x1=_at(x - se * scale), x2=_at(x + se * scale), y1=y, y2=y, class_="whisker"))
        made.append(tag("circle", cx=_at(x), cy=y, r=5, class_="bar"))
        made.append(tag("text", number(mean), x=WIDTH, y=y + 4, text_anchor="end"))
    return _drawing(made, STEP * len(rows), about, "dots")


def stack(parts: Sequence[tuple[str, float]], unit: str, about: str) -> Markup:
    """One bar of several parts, with a legend; parts below zero, which only noise makes, are drawn as nothing."""
    total = sum(max(value, 0.0) for _, value in parts) or 1.0
    made, x = [], 0.0
    for (_, value), kind in zip(parts, SHADES, strict=False):
        width = WIDTH * max(value, 0.0) / total
        made.append(tag("rect", x=_at(x), y=0, width=_at(width), height=22, class_=kind))
        x += width
    keys = [
        tag("li", _key(kind), f"{name} {number(value)} {unit}", class_="small")
        for (name, value), kind in zip(parts, SHADES, strict=False)
    ]
    return join([_drawing(made, 22, about, "stack"), tag("ul", *keys, class_="legend")])


def _key(kind: str) -> Markup:
    return tag(
        "svg", tag("rect", width=12, height=12, class_=kind), viewBox="0 0 12 12", class_="key", aria_hidden="true"
    )


def _drawing(content: Sequence[Any], height: float, about: str, kind: str) -> Markup:
    return tag("svg", *content, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=about, class_=kind)


def _at(place: float) -> str:
    return f"{place:.1f}"
