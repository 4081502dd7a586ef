"""Write docs/cli.md: every verb and option as the help says, with examples and the keys of the JSON."""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

from typer.main import get_command

from lowerbound.cli import app
from lowerbound.measures.disentanglement import LABELS

FILE = Path(__file__).parents[1] / "docs/cli.md"
SHARED = {"as_json": "`--json`", "debug": "`--debug`", "help": "`--help`"}

INTRODUCTION = """# Command line

`lowerbound VERB …`, or `python -m lowerbound VERB …`. This page is written by `scripts/cli_docs.py`.

Every verb takes `--json`: one JSON object on stdout with the keys given here, everything else on stderr; what is no
finite number is null. `--debug` adds the traceback to an error, `--help` shows defaults. Nothing is written over
without `--force`. DATA is a known name (`lowerbound data list`) or a path.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it went wrong while running, or a check failed |
| 2 | the command line or the configuration cannot be used, or an output is there already |
| 3 | the data cannot be used |
| 4 | the run cannot be opened |
| 5 | the disk refused |
| 130, 143 | ended by Ctrl-C or SIGTERM; `fit` saves the run first |

An error is one line on stderr: its id, where, what was found, what was expected and how to mend it
([errors.md](errors.md))."""

MEASURES = ", ".join(f"`{name}`" for name in LABELS)

EXAMPLES = {
    "fit": ("digits --recipe sigma-vae --latent 10 --set train.rate=2e-3 --out runs/demo",
            "`run`, `recipe`, `epochs`, `seconds`, `rows_per_second`, `best` (`epoch` and the value), `stopped`, "
            "`resumed` (the step it went on from), `notes`, `not_saved` (why)"),
    "refit": ("runs/demo --prior mixture:components=20 --out runs/demo-mixture",
              "`run`, `prior` (its table), `log_prior` (`before` and `after`: mean of held-out codes, nats)"),
    "evaluate": ("runs/demo --samples 1000", "`unit`, `quantity`, `rows`, `elbo`, `cross_entropy_bound`, "
                 "`log_likelihood`, `bits_per_dimension`, `kl`, `active_units`, `mutual_information`, "
                 "`aggregated_posterior`, `reconstruction`, `columns`, `loss`, `baselines`, `probes`, `doctor`, "
                 "`verdict`, `report`"),
    "compare": ("digits --recipes pca,ae,vae --seeds 5 --latent 2 --out compared", "`out`, `title`, `data`, "
                "`rows` (`recipe`, `seed`, `seconds`, `epochs`, `stopped`, `run`, the keys of evaluate, `geometry`), "
                "`summary` (`recipe` and of each measure `median`, `q25`, `q75`), `notes`"),
    "sweep": ("digits --over latent=2,5,10 --over objective.beta=1,4 --seeds 0..4 --out swept",
              "`out`, `title`, `data`, `over` (paths), `rows` (`point`, `seed`, `state`, `reason`, `log_likelihood`, "
              "`epochs`, `seconds`, `stopped`, `run`), `points` (`point`, `seeds`, `mean`, `values`, `se`, `behind`, "
              "`behind_se`, `ess_median`, `run`; the best first), `best` (`point`, `log_likelihood`, `seeds`, `run`, "
              "`tied`), `notes`"),
    "disentangle": ("runs/demo digits --factors rotation=6,scale=3 --out factors", f"{MEASURES} (each `value`, `se`, "
                    "`perfect`, `chance`, `rotation`, `seed`, `sensitivity`; null if not asked for), `about`, `notes`, "
                    "`information`, `importances` (codes x factors), `out` (files)"),
    "similar": ("runs/demo 42 -n 8 --out near.png", "`row`, `label`, `neighbours` (`row`, `distance`, `label`), "
                "`agreement` (share of neighbours with the same label), `out`"),
    "score": ("runs/demo new.csv --out scores.csv", "`out`, `rows`, "
              "`log_likelihood` (`mean`, `se`, `samples`, `ess_median`), `unsettled` (rows), `warnings`"),
    "estimate": ("runs/demo --rows 20", "`unit`, `rows`, `estimates` (`method`, `label`, `mean`, `se`, `se_per_row`, "
                 "`ess_median`, `doubtful_rows`), `bdmc` (`rows`, `lower`, `upper`, `gap`, `gap_se`, `exact`), "
                 "`warnings`"),
    "gap": ("runs/demo --rows 20", "`unit`, `rows`, `log_likelihood`, `best`, `elbo`, `total`, `approximation`, "
            "`amortisation` (each `mean`, `se`), `doubtful_rows`"),
    "anomaly": ("runs/demo new.csv --out strange.csv", "`out`, `rows`, `held_out`, "
                "`strange` (rows found at `level` by `score` and by `typicality`)"),
    "explain": ("runs/demo 42", "`row`, `score`, `unit`, `columns` (`column`, `value`, `nats`, `usual`; the strangest "
                "first), `code` (`nats`, `usual`)"),
    "generation": ("runs/demo -n 500", "`rows`, `kind`, `features`, `copies`, "
                   "`measures` (each `value`, `se`, `perfect`, `chance` and, of a test, `p_value`)"),
    "reconstruct": ("runs/demo --show worst --corruption gaussian:scale=0.5 --out pairs.png", "`out`, `rows`, `mse`"),
    "impute": ("runs/demo holes.csv --out filled.csv", "`cells`, `methods` (rows by method), `reason`, `draws`, "
               "`interval`, `doubtful_rows`, `ess_median`, `acceptance_median`, `warnings`, `out`, `rows`, "
               "`intervals`"),
    "imputation": ("runs/demo --hide half", "`rows`, `cells`, `hidden`, `interval`, `methods`, `reason`, "
                   "`doubtful_rows`, `ess_median`, `acceptance_median`, `warnings`, `coverage`, "
                   "`errors` (by name `mse`, `se`, `wrong`)"),
    "sample": ("runs/cvae -n 64 --given label=7 --out sevens.png", "`out`, `rows`; of columns given: `ess`, "
               "`out`, `rows`"),
    "export": ("runs/demo --html page.html", "`out`, `bytes`, `rows`, `weights` (bits of each); of --onnx and --torch: "
               "`out`, `graphs` (by file `inputs`, `outputs`), `difference` (from torch, by graph); of --hub: `out`"),
    "explore": ("runs/demo --open", "`address`, `token`, `page`; said at the start"),
    "serve": ("runs/demo --port 8000", "`address`, `token`; said at the start"),
    "interpolate": ("runs/demo 3,label=1 17,label=7 --path spherical --out path.gif",
                    "`out`, `paths`, `steps`, `path`"),
    "traverse": ("runs/demo --dimensions 6 --row 42 --out dimensions.png", "`out`, "
                 "`dimensions` (`dimension`, `kl`, `low`, `high`, `name` of what explains most of it)"),
    "manifold": ("runs/demo --plane principal --out plane.png", "`out`, `axes`, `side`, `over`, "
                 "`empty` (share of the grid without data)"),
    "arithmetic": ("runs/faces glasses --within subject --out glasses.png", "`out`, `attribute`, `rows`, `rise`, "
                   "`response` (`strength`, `median`, `q25`, `q75`), `measured`, `unit`, `vector`, `low`, `high`, "
                   "`cosine`, `judge` (`mean`, `se`, `chance`), `leakage` (of each column `changed`, `judge`)"),
    "embed": ("runs/demo --method tsne --by label --out map.png", "`out`, `rows`, `method`, `explained`"),
    "predict": ("runs/m2 new.csv --out labels.csv", "`out`, `rows`, `by`, `error` (`mean`, `se`, `rows`, of those with "
                "a label, or `rmse`, `se`, `within`, `rows` of numbers), `predicted` (rows by class, or the mean), "
                "`calibration` (`value`, `se`, `perfect`, `chance`, `p_value`, null without labels or of numbers)"),
    "analogies": ("runs/cvae -n 10 --out analogies.png", "`out`, `rows`, `over`, `values`"),
    "independence": ("runs/cvae --beside runs/vae", "`mean`, `se`, `best`, `accuracy` (by classifier), `chance`, "
                     "`rows`, `learnt_from`, `beside` (the same, or null)"),
    "encode": ("runs/demo new.csv --out z.csv", "`out`, `rows`"),
    "decode": ("runs/demo z.csv --out back.npy", "`out`, `rows`"),
    "recipes": ("beta-vae", "`name`, `title`, `changes`, `citation`, `target`, `note`; without NAME: `recipes`"),
    "parts": ("prior standard", "`kind`, `name`, `summary`, `options`, `facts`; without NAME: `parts`"),
    "check": ("heavy.py", "`passed`, `failed`, `checks` (as of selftest)"),
    "selftest": ("oracle", "`passed`, `failed`, "
                 "`checks` (`name`, `passed`, `value`, `expected`, `tolerance`, `detail`)"),
    "data list": ("", "`sets` (`name`, `rows`, `licence`, `citation`, `at_hand`)"),
    "data show": ("table.csv", "`name`, `rows`, `shape`, `stored`, `unit`, `min`, `max`, `mean`, `zeros`, `missing`, "
                  "`columns`, `labels`, `factors`, `split`, `fingerprint`, `fitting`, "
                  "`kinds`, `dropped`"),
    "data fetch": ("mnist", "`name`, `rows`, `shape`"),
    "data convert": ("rows.parquet rows --type float32", "`out`, `rows`, `shape`, `stored`, `missing`, `bytes`"),
    "data check": ("rows", "`rows`, `files`, `bytes`"),
}  # fmt: skip
"""Arguments of an example and the keys of the JSON object, by verb."""


def verbs(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every verb with its command; those of a group bear the group's name first."""
    for name, command in (group or get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{path}{name} ")
        else:
            yield path + name, command


def text() -> str:
    """The page as it should be."""
    return "\n\n".join([INTRODUCTION, *(section(name, command) for name, command in verbs())]) + "\n"


def section(name: str, command: Any) -> str:
    """Heading, description, example, keys and the table of arguments and options of a verb."""
    example, keys = EXAMPLES[name]
    rows = [row(parameter) for parameter in command.params if parameter.name not in SHARED]
    table = "\n".join(["| argument or option | |", "|---|---|", *rows])
    line = f"lowerbound {name} {example}".strip()
    heading = f"## {name}\n\n{cleandoc(command.help)}\n\n```\n{line}\n```\n\nKeys: {keys}."
    return f"{heading}\n\n{table}" if rows else heading


def row(parameter: Any) -> str:
    """What an argument or option is called, what it takes and what it does."""
    word = parameter.metavar or ""
    called = word if parameter.param_type_name == "argument" else f"{parameter.opts[0]} {word}".strip()
    default = parameter.default
    shown = f" [default: {default}]" if isinstance(default, int | float | str) and not isinstance(default, bool) else ""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{called}`", parameter.help + shown)) + " |"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
