"""Other projects, where they are installed: pythae 0.1.2 (its own trainer) and JAX with optax (one scan an epoch)."""

import tempfile
from pathlib import Path
from typing import Any

from gate import Gate
from workloads import Work


def _pythae_model(work: Work) -> Any:
    import torch
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self, body: torch.nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: torch.Tensor) -> ModelOutput:
            mean, log_variance = self.body(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self, body: torch.nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=torch.sigmoid(self.body(z)))

    encoder, decoder = work.nets()
    config = VAEConfig(input_dim=work.shape, latent_dim=work.latent, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(encoder), decoder=Decoder(decoder))


def pythae(work: Work, gate: Gate) -> None:
    """``train_step`` of its trainer, which is one epoch: loader, model, Adam, ``loss.item()`` and a bar."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    rows = torch.from_numpy(work.values(gate.limit))
    with tempfile.TemporaryDirectory() as folder:
        told = BaseTrainerConfig(
            output_dir=folder, num_epochs=gate.count, learning_rate=work.rate, per_device_train_batch_size=work.batch,
            optimizer_cls="Adam", seed=0,
        )  # fmt: skip
        model = _pythae_model(work)
        trainer = BaseTrainer(model, train_dataset=BaseDataset(rows, torch.zeros(len(rows))), training_config=told)
        trainer.prepare_training()
        for lap in gate.laps():
            gate.loss = float(trainer.train_step(lap + 1))
    gate.close(model.parameters())


def pythae_score(work: Work, gate: Gate, *, run: str, rows: int, samples: int, batch: int) -> None:
    """``get_nll`` with the weights of this package's run, so that both must find the same figure."""
    import torch
    from safetensors.torch import load_file

    model = _pythae_model(work)
    named = load_file(Path(run) / "model.safetensors")
    for role, net in (("encoder", model.encoder.body), ("decoder", model.decoder.body)):
        values = [value for name, value in named.items() if name.startswith(f"{role}.")]
        mine = {tuple(value.shape): value for value in values}
        with torch.no_grad():
            for weight in net.parameters():
                weight.copy_(mine[tuple(weight.shape)])
    x = torch.from_numpy(work.values(rows) > 0.5).float()
    for _ in gate.laps():
        gate.loss = -float(model.get_nll(x, n_samples=samples, batch_size=batch))
    gate.close(model.parameters())


def jax_scan(work: Work, gate: Gate) -> None:
    """The MLP's epoch as one compiled ``lax.scan``, the last short batch by itself; rows stay on the device."""
    import jax
    import jax.numpy as jnp
    import optax

    sizes = [("down", 784, 400), ("code", 400, 2 * work.latent), ("up", work.latent, 400), ("out", 400, 784)]
    keys = jax.random.split(jax.random.key(0), 2 * len(sizes))

    def drawn(key: Any, shape: tuple[int, ...], fan: int) -> Any:
        return jax.random.uniform(key, shape, minval=-(fan**-0.5), maxval=fan**-0.5)

    weights = {
        name: (drawn(keys[2 * i], (a, b), a), drawn(keys[2 * i + 1], (b,), a)) for i, (name, a, b) in enumerate(sizes)
    }
    rows = jnp.asarray(work.values(gate.limit).reshape(-1, 784))
    adam = optax.adam(work.rate)

    def affine(w: Any, name: str, x: Any) -> Any:
        return x @ w[name][0] + w[name][1]

    def loss(w: Any, x: Any, eps: Any) -> Any:
        mean, log_variance = jnp.split(affine(w, "code", jax.nn.relu(affine(w, "down", x))), 2, axis=1)
        z = mean + jnp.exp(0.5 * log_variance) * eps
        logits = affine(w, "out", jax.nn.relu(affine(w, "up", z)))
        kl = 0.5 * (mean**2 + jnp.exp(log_variance) - log_variance - 1).sum()
        return ((jax.nn.softplus(logits) - x * logits).sum() + kl) / len(x)

    def step(state: Any, given: Any) -> tuple[Any, Any]:
        w, moments = state
        index, key = given
        eps = jax.random.normal(key, (len(index), work.latent))
        value, gradient = jax.value_and_grad(loss)(w, rows[index], eps)
        change, moments = adam.update(gradient, moments, w)
        return (optax.apply_updates(w, change), moments), value * len(index)

    whole = len(rows) // work.batch

    def epoch(state: Any, key: Any) -> tuple[Any, Any]:
        order, noise = jax.random.permutation(key, len(rows)), jax.random.split(key, whole + 1)
        batches = order[: whole * work.batch].reshape(whole, work.batch)
        state, sums = jax.lax.scan(step, state, (batches, noise[:-1]))
        total, rest = sums.sum(), order[whole * work.batch :]
        if len(rest):
            state, last = step(state, (rest, noise[-1]))
            total = total + last
        return state, total / len(rows)

    run, state = jax.jit(epoch, donate_argnums=0), (weights, adam.init(weights))
    for lap in gate.laps():
        state, value = run(state, jax.random.key(lap))
        gate.loss = float(value)
    gate.close(jax.tree.leaves(state[0]))
