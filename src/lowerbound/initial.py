"""Where training starts from."""

import torch

from lowerbound.batches import Rows
from lowerbound.config import TrainConfig
from lowerbound.model import VAE
from lowerbound.randomness import generator

LOOKED = 65536  # training rows, evenly spread, that tell scaling and first weights


def initialise(model: VAE, rows: Rows, settings: TrainConfig, seed: int) -> None:
    """What is fixed before step 0: scaling measured on the training rows, first weights, parts that start from data."""
    looked = rows.spread(LOOKED)
    sample = next(looked.blocks(len(looked)))
    with torch.no_grad():
        model.embedding.start_from(sample.x, sample.mask)
        if settings.init_scale:
            source = generator(seed, "initial")
            for net in (model.encoder, model.decoder):
                for weight in net.parameters():
                    weight.copy_(torch.randn(weight.shape, generator=source) * settings.init_scale)
        fill = model.likelihood_family.fill
        x = sample.x if sample.mask is None else torch.where(sample.mask, sample.x, fill)
        for part in (model.posterior_family, model.prior_family, model.likelihood_family):
            part.start_from(x)
