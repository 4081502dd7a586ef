"""``report.html``: one page a run that stands alone: figures inside, no script, nothing fetched, every text escaped."""

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lowerbound import audit
from lowerbound.__about__ import __version__
from lowerbound.errors import LowerboundError
from lowerbound.files import write_whole
from lowerbound.markup import Markup, dots, finite, join, number, stack, table, tag
from lowerbound.report import heading, held_out, keep, pictures
from lowerbound.run import Run, environment
from lowerbound.tasks.evaluate import Evaluation, evaluate
from lowerbound.tasks.verdict import CHANGE

FILE = "report.html"
QUICK = 64  # samples of log p(x) in the page that `fit` leaves
CAPTIONS = {
    "training": "What was reported after each epoch, in nats per row.",
    "samples": "What the model makes of draws from its prior.",
    "reconstructions": "Held-out rows above what comes back through the code.",
    "latent": "Codes of held-out rows: the posterior means in the two dimensions that are used most.",
    "kl": "What each latent dimension says of a row, in nats.",
}
BROAD = ("reconstructions",)  # figures as wide as the page
NAMES = {
    "mean": "the mean of the training rows", "ppca": "probabilistic PCA, as many dimensions, exact",
    "gaussian": "a Gaussian with a full covariance, exact", "independent": "every cell on its own, exact",
    "ae": "autoencoder, same nets", "dae": "denoising autoencoder, same nets",
}  # fmt: skip
SETTINGS = {
    "in_distribution": "rows like the training rows", "noisy": "the same rows with noise",
    "unseen_classes": "classes without a training row",
}  # fmt: skip
VIEWS = {"codes": "codes", "ppca": "PCA codes", "raw": "raw cells"}
GOOD, BAD = (" beats ",), ("does not beat", "worse than", "ollapsed", "not reliable", " is too ", "off the data")
WORDS = {
    "log p(x)": "How probable the model finds a row that it has not seen, averaged over rows; the larger, the better. "
    "It is estimated by importance sampling from q(z|x) with K draws, and is on average slightly too low.",
    "ELBO": "The bound on log p(x) that training raises. The gap to log p(x) is what the encoder loses.",
    "nats": "Natural units of log-probability; divide by 0.693 for bits.",
    "density": "The data are real numbers, so that p(x) depends on their unit and may exceed 1: log p(x) can be "
    "compared between models of the same data in the same unit only, and there are no bits per dimension.",
    "probability": "The data are discrete, so that p(x) is at most 1 and log p(x) at most 0.",
    "± ": "One standard error over the rows.",
    "KL": "How far q(z|x) is from the prior, averaged over rows: what the code may say of a row.",
    "active units": "Latent dimensions in which the posterior mean varies over rows by more than 0.01 in variance.",
    "mutual information": "What the code tells of which row it came from; at most the logarithm of the rows.",
}


def leave(run: Run, folder: str | Path) -> list[str]:
    """What ``fit`` leaves beside a run: its figures, and the page with a quick evaluation of held-out rows.

    Args:
        run: trained, with its rows at hand.
        folder: of the run.

    Returns:
        One line for each thing that could not be drawn or told.
    """
    drawn, missing = pictures(run)
    keep(drawn, Path(folder) / "figures")
    rows, part = held_out(run)
    try:
        found = evaluate(run, rows, samples=QUICK)
    except LowerboundError as error:
        return [*missing, f"no report: {error}"]
    write_whole(Path(folder) / FILE, page(run, found, drawn, part=part))
    return missing


def write(run: Run, found: Evaluation, folder: str | Path, part: str = "test") -> Path:
    """Write the page of an evaluated run over the one that is there.

    Args:
        run: trained, with its rows at hand.
        found: what ``evaluate`` said of it.
        folder: of the run.
        part: which rows it was evaluated on, in words.
    """
    path = Path(folder) / FILE
    write_whole(path, page(run, found, pictures(run)[0], part=part))
    return path


def page(run: Run, found: Evaluation, drawn: Mapping[str, bytes], part: str = "test") -> str:
    """The page as HTML.

    Args:
        run: trained.
        found: what ``evaluate`` said of it.
        drawn: figures as PNG, by name.
        part: which rows it was evaluated on.

    >>> from lowerbound.train import fit
    >>> run = fit("digits", latent=2, epochs=1, progress=False)
    >>> page(run, evaluate(run, samples=2), {}).startswith("<!doctype html>")
    True
    """
    facts = found.as_dict()
    body = tag("main", *(section for section in _sections(run, facts, drawn, part) if section))
    style = Path(__file__).with_name("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", heading(run)),
        Markup(f"<style>{style}</style>"),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def _sections(run: Run, facts: Mapping[str, Any], drawn: Mapping[str, bytes], part: str) -> Iterator[Markup | None]:
    yield _head(run, facts, part)
    yield _tiles(facts)
    yield _baselines(facts)
    yield _pictures(drawn)
    yield _codes(facts)
    yield _probes(facts["probes"])
    yield _about(run, facts)
    yield _details(run, facts)
    made = f"Written by lowerbound {__version__}. The page stands alone: it has no scripts and fetches nothing."
    yield tag("footer", tag("p", made, class_="note"))


def _head(run: Run, facts: Mapping[str, Any], part: str) -> Markup:
    said = [tag("li", *_sentence(sentence), class_=_tone(sentence)) for sentence in facts["verdict"]]
    said = said or [tag("li", "No finding: nothing to compare with, and nothing wrong.")]
    rows, of = facts["rows"], run.facts["split"].get(part, 0)
    some = f"On the first {rows} of {of} {part} rows; lowerbound evaluate RUN --report judges all"
    on = some if rows < of else f"On {rows} {part} rows"
    on += ", which the model was trained on." if part == "train" else "."
    return tag(
        "header", tag("h1", heading(run)), tag("p", audit.line(run.loss), class_="audit"), tag("p", on, class_="note"),
        tag("ul", *said, class_="verdict"),
    )  # fmt: skip


def _sentence(sentence: str) -> Iterator[object]:
    """What was found, and below it what to change."""
    what, _, change = sentence.partition(CHANGE)
    yield what
    if change:
        yield tag("span", change, class_="change")


def _tone(sentence: str) -> str:
    if any(word in sentence for word in BAD):
        return "bad"
    return "good" if any(word in sentence for word in GOOD) else "neutral"


def _tiles(facts: Mapping[str, Any]) -> Markup:
    found = list(_headline(facts))
    tiles = [tag("div", tag("dt", name), tag("dd", value, tag("small", about))) for name, value, about in found]
    return tag("dl", *tiles, class_="tiles")


def _headline(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The few numbers to see first: name, value, what to know of it."""
    score = facts["log_likelihood"]
    if score is not None:
        about = f"± {number(score['se'])} nats, a {facts['quantity']}, K = {score['samples']}"
        yield "log p(x)", number(score["mean"]), about
    for name, label in (("elbo", "ELBO"), ("cross_entropy_bound", "cross-entropy + KL")):
        if facts[name] is not None:
            yield label, number(facts[name]["mean"]), f"± {number(facts[name]['se'])} nats"
    if facts["bits_per_dimension"] is not None:
        bits = facts["bits_per_dimension"]
        yield "bits per dimension", number(bits["mean"], 4), f"± {number(bits['se'], 4)}"
    if facts["kl"] is not None:
        latent = facts["kl"]["latent"]
        yield "KL", number(facts["kl"]["total"]), "nats"
        yield "active units", str(facts["active_units"]), f"of {latent}"
    if facts["reconstruction"]["mse"] is None:
        return
    mean = facts["baselines"].get("mean", {}).get("mse")
    about = "" if mean is None else f"{number(100 * facts['reconstruction']['mse'] / mean, 1)} % of the mean's"
    yield "squared error", f"{facts['reconstruction']['mse']:.4g}", about


def _baselines(facts: Mapping[str, Any]) -> Markup | None:
    if not facts["baselines"]:
        return None
    ours = {"log_likelihood": facts["log_likelihood"], "mse": facts["reconstruction"]["mse"]}
    rows = {"this run": ours, **{NAMES[name]: found for name, found in facts["baselines"].items()}}
    scored = [(name, row["log_likelihood"]) for name, row in rows.items() if row.get("log_likelihood")]
    cells = [
        (name, *_plus_minus(row.get("log_likelihood")), "–" if row.get("mse") is None else f"{row['mse']:.4g}")
        for name, row in rows.items()
    ]
    drawing = [dots([(_short(name), found["mean"], found["se"]) for name, found in scored], "log p(x) by model")]
    return tag(
        "section",
        tag("h2", "Against simple models"),
        tag("p", f"Fitted on the same training rows and judged on the same rows. log p(x) in nats a row, of a "
                 f"{facts['quantity']}; squared error of the reconstruction per cell.", class_="note"),
        *(drawing if len(scored) > 1 else []),
        table(cells, ("", "log p(x)", "± s.e.", "squared error"), ours=0),
    )  # fmt: skip


def _short(name: str) -> str:
    return name.split(",")[0].removeprefix("a ").removeprefix("the ")


def _plus_minus(found: Mapping[str, float] | None) -> tuple[str, str]:
    return ("–", "") if found is None else (number(found["mean"]), number(found["se"]))


def _pictures(drawn: Mapping[str, bytes]) -> Markup | None:
    made = {name: _picture(name, content) for name, content in drawn.items()}
    broad = [made.pop(name) for name in BROAD if name in made]
    columns = tag("div", *made.values(), class_="figures")
    return tag("section", tag("h2", "Figures"), *broad, columns) if drawn else None


def _picture(name: str, content: bytes) -> Markup:
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return tag("figure", tag("img", src=source, alt=CAPTIONS[name]), tag("figcaption", CAPTIONS[name]))


def _codes(facts: Mapping[str, Any]) -> Markup | None:
    if facts["kl"] is None:
        return None
    spent, found = facts["aggregated_posterior"], facts["doctor"]
    parts = [("which row it is", spent["information"]), ("correlation of dimensions", spent["total_correlation"]),
             ("single dimensions off the prior", spent["dimension_kl"])]  # fmt: skip
    latent, informative = facts["kl"]["latent"], found["informative_dimensions"]
    said = [] if informative is None else [f"{informative} of {latent} dimensions hold more than 0.01 nats."]
    if found["expected_dimensions"] is not None:
        said.append(f"The best linear model would use {found['expected_dimensions']} at this beta and sigma.")
    if found["noise"] is not None:
        sigma, times = found["noise"]["sigma"], number(found["noise"]["calibration"] ** 0.5)
        said.append(f"sigma is {sigma:.3g} in units of the scaled data, and residuals are {times} times that.")
    most = math.log(spent["rows"])
    if spent["saturated"]:
        said.append(f"{spent['rows']} rows can be told apart with {most:.2f} nats: what the code says beyond that is "
                    "counted as correlation here.")  # fmt: skip
    kl = [(f"z{i + 1}", number(value, 4)) for i, value in enumerate(facts["kl"]["per_dimension"])]
    return tag(
        "section",
        tag("h2", "What the code holds"),
        tag("p", f"State: {found['state']}. {' '.join(said)}", class_="note"),
        stack(parts, "nats", "how the KL is spent"),
        tag("details", tag("summary", "KL of each dimension"), table(kl, ("", "nats"))),
    )


def _probes(found: Mapping[str, Any] | None) -> Markup | None:
    rows = [(name, kind) for name, row in (found or {}).items() if row is not None for kind in ("linear", "knn")]
    if not found or not rows:
        return None
    words = {"linear": "linear rule", "knn": "5 neighbours"}
    cells = [
        (f"{SETTINGS[name]}, {words[kind]}", *(_percent(found[name].get(view), kind) for view in VIEWS),
         number(100 * found[name]["chance"], 1))
        for name, kind in rows
    ]  # fmt: skip
    return tag(
        "section",
        tag("h2", "Labels told from the code"),
        tag("p", "Share of labels that are told right, in per cent; the labels were not trained on.", class_="note"),
        table(cells, ("", *VIEWS.values(), "chance")),
    )


def _percent(found: Mapping[str, Any] | None, kind: str) -> str:
    return "–" if found is None else f"{number(100 * found[kind]['mean'], 1)} ± {number(100 * found[kind]['se'], 1)}"


def _about(run: Run, facts: Mapping[str, Any]) -> Markup:
    data, summary, split = run.facts, run.summary, run.facts["split"]
    best = summary.get("best") or {}
    columns = ", ".join(data["columns"])
    parts = ", ".join(f"{split[part]} {part}" for part in ("train", "validation", "test"))
    shape = " x ".join(map(str, data["shape"]))
    rows = [
        ("data", f"{data['name']}: {data['rows']} rows of {shape}"),
        *([("columns", columns)] if columns else []),
        ("split", f"{parts} rows ({split['how']})"),
        ("fingerprint", tag("code", data["fingerprint"][:16])),
        ("trained", f"{summary['epochs']} epochs in {summary['seconds']:.1f} s; {summary['stopped']}"
                    + (f"; best epoch {best['epoch']}" if best else "")),
        *([("held to", audit.held_to(summary["reached"]))] if "reached" in summary else []),
        ("latent", run.model.latent),
        ("weights", sum(weight.numel() for weight in run.model.parameters())),
        ("folder", "in memory" if run.path is None else tag("code", run.path.name)),
    ]  # fmt: skip
    return tag("section", tag("h2", "The run"), table(rows, kind="facts"))


def _details(run: Run, facts: Mapping[str, Any]) -> Markup:
    words = join(part for word, about in WORDS.items() for part in (tag("dt", word), tag("dd", about)))
    machine = json.dumps(_machine(run), indent=1, ensure_ascii=False)
    parts = {
        "What the words mean": tag("dl", words, class_="words"),
        "Configuration": tag("pre", run.config.to_toml()),
        "Machine and versions": tag("pre", machine),
        "All numbers, as JSON": tag("pre", json.dumps(finite(facts), indent=1, ensure_ascii=False, default=str)),
    }
    folded = (tag("details", tag("summary", name), part) for name, part in parts.items())
    return tag("section", tag("h2", "Details"), *folded)


def _machine(run: Run) -> Any:
    file = None if run.path is None else run.path / "environment.json"
    return environment() if file is None or not file.is_file() else json.loads(file.read_text("utf-8"))
