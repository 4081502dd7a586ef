"""What a recipe is, and the methods that change the objective: citation, figure to reproduce, what to expect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Citation:
    """Where a method was published."""

    authors: str
    year: int
    where: str
    link: str


@dataclass(frozen=True)
class Target:
    """The figure that a recipe must reproduce: ``value`` within ``tolerance``, with ``settings`` laid over it.

    A target ``at_least`` is a bar to pass, not a value to hit.
    """

    quantity: str
    value: float
    unit: str
    data: str
    tolerance: float = 0.0
    at_least: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for people."""
        size = f"at least {self.value:g}" if self.at_least else f"{self.value:.8g} ± {self.tolerance:g}"
        given = ", ".join(f"{path} = {value}" for path, value in self.settings.items())
        return f"{self.quantity}: {size} {self.unit} on {self.data}" + (f" with {given}" if given else "")


@dataclass(frozen=True)
class Recipe:
    """A method: what it changes in the configuration, where it comes from, what it must reproduce, what to know."""

    name: str
    title: str
    fragment: Mapping[str, Any]
    citation: Citation
    target: Target | None  # None where no figure means anything; the note says why
    note: str


AEVB = Citation("Kingma & Welling", 2014, "Auto-Encoding Variational Bayes, ICLR", "https://arxiv.org/abs/1312.6114")

DIGITS = "all 1797 digits of scikit-learn, divided by 16"
ALL_ROWS = {"data.validation": 0.0, "data.test": 0.0, "data.scaling": "none"}
LINEAR = {"model.encoder": "linear", "model.decoder": "linear", "model.latent": 10, **ALL_ROWS}
REAL = LINEAR | {"model.likelihood": "gaussian"}

LONG = {"train.epochs": 600, "train.batch": 450, "train.rate": 0.05, "train.schedule": "cosine", "train.patience": 0}
CURVE = REAL | LONG | {"model.latent": 40}
BURGESS = Citation(
    "Burgess, Higgins, Pal, Matthey, Watters, Desjardins & Lerchner", 2018, "Understanding disentangling in beta-VAE",
    "https://arxiv.org/abs/1804.03599",
)  # fmt: skip
HIGGINS = Citation(
    "Higgins, Matthey, Pal, Burgess, Glorot, Botvinick, Mohamed & Lerchner", 2017,
    "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework, ICLR",
    "https://openreview.net/forum?id=Sy2fzU9gl",
)  # fmt: skip
DIP = Citation(
    "Kumar, Sattigeri & Balakrishnan", 2018, "Variational Inference of Disentangled Latent Concepts from Unlabeled "
    "Observations, ICLR", "https://arxiv.org/abs/1711.00848",
)  # fmt: skip
PPCA = Target("log p(x)", 17.451947, "nats a row", DIGITS, 0.05, settings=REAL | LONG)
NO_FIGURE = (
    "Disentanglement is told from known factors, by `lowerbound disentangle`, and differs more between seeds than "
)
SEEDS = (
    NO_FIGURE + "between methods: no single figure means anything; compare medians of several seeds with those of vae."
)


def _weighted(name: str, title: str, citation: Citation, note: str, **options: Any) -> Recipe:
    """An importance-weighted bound; linear Gaussian models come to probabilistic PCA whatever it is."""
    return Recipe(name, title, {"objective": {"name": "iwae", **options}}, citation, PPCA, note)


OBJECTIVES = (
    Recipe(
        "capacity-vae", "The KL led up to a capacity in nats",
        {"objective": {"name": "capacity", "nats": {"start": 0.0, "end": 25.0, "over": 0.33}, "gamma": 1000.0}},
        BURGESS,
        Target("squared error at a KL of 25 nats", 0.672705, "squared units a row", DIGITS, 0.0135,
               settings=CURVE | {"objective.gamma": 3.0}),
        "Dimensions come into use one after the other as the capacity grows, those first that lower the error most; "
        "the KL ends at 25 nats, which the summary of the run states. With linear nets the error is that of the "
        "rate-distortion curve of the covariance.",
    ),
    Recipe(
        "constrained-vae", "The best reconstruction whose KL stays below a limit",
        {"objective": {"name": "constrained", "on": "kl", "limit": 10.0}},
        HIGGINS,
        Target("squared error at a KL of at most 5 nats", 2.310395, "squared units a row", DIGITS, 0.0462,
               settings=CURVE | {"objective.limit": 5.0, "objective.speed": 1.0}),
        "Section 2 of the paper states the problem and then fixes its multiplier, beta; here the limit in nats is "
        "given and the multiplier found. Set objective.limit for your data; where the limit does not bind, the "
        "multiplier goes to 0. The summary states the KL reached and the multiplier.",
    ),
    Recipe(
        "geco", "The least KL whose squared error stays below a limit",
        {
            "model": {"likelihood": {"name": "gaussian", "scale": "optimal"}},
            "objective": {"name": "constrained", "on": "error", "limit": 10.0},
        },
        Citation("Rezende & Viola", 2018, "Taming VAEs", "https://arxiv.org/abs/1810.00597"),
        Target("KL at a squared error of at most a quarter of the variance", 14.426715, "nats a row", DIGITS, 0.2885,
               settings=CURVE | {"objective.limit": 1.173319, "objective.speed": 1.0,
                                 "model.likelihood": "gaussian:scale=optimal"}),
        "The limit is the sum of squared errors of a row, in the units of the data: set objective.limit to a share of "
        "their total variance. The error comes down to the limit and stays, while the KL falls as far as it can; the "
        "multiplier ends at one over twice the variance of the noise that would give the same model.",
    ),
    _weighted(
        "iwae", "Importance-weighted bound of five samples",
        Citation("Burda, Grosse & Salakhutdinov", 2016, "Importance Weighted Autoencoders, ICLR",
                 "https://arxiv.org/abs/1509.00519"),
        "A tighter bound and a freer posterior: more dimensions stay in use, and log p(x) rises with "
        "objective.samples. The encoder's gradient gets noisier as it does; see dreg. Bounds of different samples do "
        "not compare: score does.",
        samples=5,
    ),
    _weighted(
        "dreg", "Importance-weighted bound with doubly reparameterised gradients",
        Citation("Tucker, Lawson, Gu & Maddison", 2019, "Doubly Reparameterized Gradient Estimators for Monte Carlo "
                 "Objectives, ICLR", "https://arxiv.org/abs/1810.04152"),
        "The bound of iwae with a gradient of the encoder that is right on average and gets less noisy with more "
        "samples, not more. Expect log p(x) as of iwae or better, most so with many samples.",
        samples=5, gradient="dreg",
    ),
    _weighted(
        "stl", "Sticking the landing: no gradient through the density of q",
        Citation("Roeder, Wu & Duvenaud", 2017, "Sticking the Landing, NeurIPS", "https://arxiv.org/abs/1703.09194"),
        "The bound of vae by one sample, with an encoder's gradient that vanishes where q(z|x) is exact: less noise "
        "near the end of training, more at its start.",
        samples=1, gradient="stl",
    ),
    Recipe(
        "beta-tcvae", "The total correlation counts six times",
        {"objective": {"name": "total_correlation", "total_correlation": 6.0}},
        Citation("Chen, Li, Grosse & Duvenaud", 2018, "Isolating Sources of Disentanglement in Variational "
                 "Autoencoders, NeurIPS", "https://arxiv.org/abs/1802.04942"),
        None,
        "Codes whose dimensions depend less on each other, at a smaller loss of reconstruction than beta-vae. The "
        "total correlation is estimated from the batch: take large ones (the paper has 2048). " + SEEDS,
    ),
    Recipe(
        "factor-vae", "The total correlation counts, as a critic sees it",
        {"objective": {"name": "factor", "gamma": 10.0}},
        Citation("Kim & Mnih", 2018, "Disentangling by Factorising, ICML", "https://arxiv.org/abs/1802.05983"),
        None,
        "As beta-tcvae, with a critic trained beside the model: where its loss stays at 1.386 (two log 2) it tells "
        "nothing apart. The paper has six layers of 1000 and gamma from 10 to 100. " + SEEDS,
    ),
    Recipe(
        "dip-vae-i", "The covariance of the posterior means pulled to the identity",
        {"objective": {"name": "dip", "version": "i", "off_diagonal": 10.0, "diagonal": 100.0}},
        DIP, None,
        "Correlations between codes go, and every dimension is kept in use, since its mean must vary. " + SEEDS,
    ),
    Recipe(
        "dip-vae-ii", "The covariance of the codes pulled to the identity",
        {"objective": {"name": "dip", "version": "ii", "off_diagonal": 10.0, "diagonal": 10.0}},
        DIP, PPCA,
        "As dip-vae-i, but the noise of q(z|x) counts: dimensions out of use cost nothing. With linear nets the codes "
        "of probabilistic principal component analysis have the identity as covariance already, so it comes out the "
        "same.",
    ),
    Recipe(
        "info-vae", "A KL, and codes that are spread as the prior is",
        {"objective": {"name": "mmd", "beta": 1.0, "weight": 100.0}},
        Citation("Zhao, Song & Ermon", 2019, "InfoVAE: Balancing Learning and Inference in Variational Autoencoders, "
                 "AAAI", "https://arxiv.org/abs/1706.02262"),
        None,
        "With objective.beta below 1 codes tell more of the row; the discrepancy keeps them together where the prior "
        "is, so that samples stay good. The discrepancy has no unit that compares between data sets: no figure.",
    ),
    Recipe(
        "wae-mmd", "Wasserstein autoencoder: no KL, codes spread as the prior is",
        {
            "model": {"posterior": {"name": "point"},
                      "likelihood": {"name": "gaussian", "scale": "fixed", "value": 1.0}},
            "objective": {"name": "mmd", "beta": 0.0, "weight": 5.0, "kernel": "inverse_multiquadratic"},
        },
        Citation("Tolstikhin, Bousquet, Gelly & Schölkopf", 2018, "Wasserstein Auto-Encoders, ICLR",
                 "https://arxiv.org/abs/1711.01558"),
        None,
        "Sharper reconstructions than vae and no log p(x), for a point has no density. The weight of 10 for squared "
        "errors is one of 5 for log-likelihoods with sigma 1. Sample quality is the figure: see `lowerbound "
        "generation`.",
    ),
)  # fmt: skip

SEMI = Citation(
    "Kingma, Rezende, Mohamed & Welling", 2014, "Semi-supervised Learning with Deep Generative Models, NIPS",
    "https://arxiv.org/abs/1406.5298",
)  # fmt: skip
PAPER = {"name": "mlp", "widths": [600, 600], "activation": "softplus"}
NET = {"name": "mlp", "widths": [256]}
HALF: dict[str, Any] = {
    "data": {"context": "label"},
    "model": {"latent": 8, "encoder": NET, "decoder": NET, "classifier": {"name": "mlp", "widths": [256, 256]}},
    "objective": {"name": "labelled", "alpha": 50.0},
    "train": {"epochs": 100, "rate": 2e-3, "schedule": "cosine", "patience": 0},
}
HUNDRED = "the digits of scikit-learn, 100 balanced labels, 500 test rows, 10 splits"

LABELS = (
    Recipe(
        "cvae", "Conditional VAE: the label is given to encoder and decoder",
        {"data": {"context": "label"}},
        SEMI,
        None,
        "The code is left with the style: see `lowerbound independence`. data.context = \"sex, age\" conditions on "
        "columns of a table instead. log p(x|label) compares with log p(x) only where the label counts as given; no "
        "figure was published for this model.",
    ),
    Recipe(
        "m1", "A VAE whose codes a classifier learns from",
        {"model": {"latent": 50, "encoder": PAPER, "decoder": PAPER}},
        SEMI,
        None,
        "M1 of the paper; `lowerbound predict RUN --by spreading` is the second step, which needs labels of some "
        "training rows only. The paper's classifier is a transductive support vector machine (11.82% error with 100 "
        "labels of MNIST), so its figure is not of this one.",
    ),
    Recipe(
        "m2", "Semi-supervised VAE: a classifier trained with labels of some rows only",
        HALF,
        SEMI,
        Target("rows told right with 100 labels", 91.8, "%", HUNDRED, at_least=True,
               settings={"model.latent": 5, "model.classifier": "mlp:widths=[512, 512]", "data.scaling": "global"}),
        "The class of a row without a label is summed over, so a step costs as many passes as there are classes. "
        "p(label) is even unless model.label_prior says otherwise. The bar is that of a support vector machine; "
        "spreading labels over neighbours has 4.2%. The paper's figure on MNIST with 100 labels is 11.97%.",
    ),
    Recipe(
        "m1-m2", "m2 on the codes of another run",
        {**HALF, "model": {**HALF["model"], "likelihood": {"name": "gaussian"}}},
        SEMI,
        None,
        "Fit m1, and this on its codes: fit(codes(run, draws=20), recipe='m1-m2', epochs=5). Every draw is a row: with "
        "as many draws as epochs, and one epoch, codes are drawn anew at each use, as in the paper. Its figure on "
        "MNIST with 100 labels, 3.33%, is one that nobody gets easily.",
    ),
)  # fmt: skip

TANH = {"name": "mlp", "widths": [128, 128], "activation": "tanh"}

HOLES = (
    Recipe(
        "not-miwae", "Holes that are there for a reason: which cells are missing is modelled too",
        {
            "data": {"missing": "nan"},
            "model": {
                "encoder": TANH, "decoder": TANH, "likelihood": {"name": "gaussian"},
                "missingness": {"name": "self_masking"},
            },
            "objective": {"name": "iwae", "samples": 20},
        },
        Citation("Ipsen, Mattei & Frellsen", 2021, "not-MIWAE: Deep Generative Modelling with Missing not at Random "
                 "Data, ICLR", "https://arxiv.org/abs/2006.12871"),
        None,
        "Say what is known of the reason: model.missingness = self_masking:gone=high where large values go missing. "
        "The bound is one on log p(x, mask), so it does not compare with that of a run without a reason; hidden cells "
        "whose values are known do. Without holes for that reason nothing tells reasons apart.",
    ),
)  # fmt: skip
