"""Loops by hand in torch: what a careful user writes, and what a tutorial writes."""

from typing import Any

from gate import Gate
from workloads import Work, loss_of


def loop(work: Work, gate: Gate, *, precision: str = "fp32", kernels: bool = False) -> None:
    """Resident rows, ``index_select``, stock fused Adam, no look at the loss inside the epoch.

    ``kernels`` sends float32 products to oneDNN, as this package does where the processor gains by it.
    """
    import torch

    if kernels:
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    rows, (encoder, decoder) = torch.from_numpy(work.values(gate.limit)), work.nets()
    weights = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(weights, lr=work.rate, fused=True)
    for _ in gate.laps():
        total = torch.zeros(())
        for index in torch.randperm(len(rows)).split(work.batch):
            x = rows.index_select(0, index)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = loss_of(encoder, decoder, x)
            adam.zero_grad()
            (loss / len(x)).backward()
            adam.step()
            total += loss.detach()
        gate.loss = float(total) / len(rows)
    gate.close(weights)


class Pictures:
    """A data set of pictures that are turned into tensors one by one, as the usual transform does."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[Any, int]:
        import numpy as np
        import torch
        from PIL import Image

        picture = np.array(Image.fromarray(self.rows[number, 0]))
        return torch.from_numpy(picture[:, :, None]).permute(2, 0, 1).contiguous().float().div(255), 0


def tutorial(work: Work, gate: Gate) -> None:
    """DataLoader, a transform a picture, stock Adam, sigmoid and its cross-entropy, ``loss.item()`` every step."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(0)
    rows = (work.values(gate.limit) * 255).round().astype("uint8")
    loader: Any = torch.utils.data.DataLoader(Pictures(rows), batch_size=work.batch, shuffle=True)
    down, mean_of, spread_of = nn.Linear(784, 400), nn.Linear(400, work.latent), nn.Linear(400, work.latent)
    up, out = nn.Linear(work.latent, 400), nn.Linear(400, 784)
    model = nn.ModuleList([down, mean_of, spread_of, up, out])
    adam = torch.optim.Adam(model.parameters(), lr=work.rate)
    for _ in gate.laps():
        total = 0.0
        for x, _label in loader:
            adam.zero_grad()
            x = x.view(-1, 784)
            hidden = F.relu(down(x))
            mean, log_variance = mean_of(hidden), spread_of(hidden)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            shown = torch.sigmoid(out(F.relu(up(z))))
            kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            loss = F.binary_cross_entropy(shown, x, reduction="sum") + kl
            loss.backward()
            total += loss.item()
            adam.step()
        gate.loss = total / len(rows)
    gate.close(model.parameters())


def floor(work: Work, gate: Gate, *, side: int = 2048, repeats: int = 5) -> None:
    """GFLOP/s of large products: torch's default library, oneDNN's in float32, bf16. What no loop can beat."""
    import time

    import torch

    def rate(kind: Any, precision: str) -> float:
        torch.backends.mkldnn.matmul.fp32_precision = precision
        a, b = torch.randn(side, side).to(kind), torch.randn(side, side).to(kind)
        out, best = torch.empty(side, side, dtype=kind), float("inf")
        for _ in range(repeats):
            start = time.perf_counter()
            torch.mm(a, b, out=out)
            best = min(best, time.perf_counter() - start)
        return 2e-9 * side**3 / best

    gate.tell(ready=True)
    before = torch.backends.mkldnn.matmul.fp32_precision
    for _ in range(gate.count):
        start = gate.wait()
        rates = {
            "fp32": rate(torch.float32, before), "fp32_onednn": rate(torch.float32, "bf16"),
            "bf16": rate(torch.bfloat16, before),
        }  # fmt: skip
        gate.tell(seconds=time.perf_counter() - start, **rates)
    gate.close()
