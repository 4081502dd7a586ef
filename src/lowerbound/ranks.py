"""Several processes that train one model, as torchrun starts them: who they are, and what they tell each other.

Each takes its rows of the same batch, losses are divided by the rows of the whole batch, and gradients are summed: so a
step is the one that a single process takes, up to rounding, and whatever is decided is decided by all alike.
"""

import json
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from lowerbound import devices
from lowerbound.errors import BadOption, ConfigError, Incompatible, LowerboundError, RankLost
from lowerbound.parts import Part

Item = TypeVar("Item")
TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what every process has to be told
MANY = 1_000_000  # processes
PATIENCE = 600.0  # seconds; a rank may wait that long for one that still reads its data
BLIND = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)  # sees its rank's rows alone; own noise
PLACE = re.compile(r"^\[/[^\]]*\] *")  # of a line of source, with which gloo begins what it has to say
INTERFACE = "GLOO_SOCKET_IFNAME"
ADDRESS_OF = 0x8915  # Linux's number of the question for the address of a network interface
_opened = count()  # groups of this process: each has a place of its own in the store where the ranks meet


@dataclass(frozen=True)
class Ranks:
    """The processes that train together; one alone by default, for which nothing here costs anything.

    Args:
        rank: number of this process, from 0.
        world: how many there are.
        neighbours: how many of them are on this machine.
        device: of this one's model.
    """

    rank: int = 0
    world: int = 1
    neighbours: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    @property
    def every(self) -> slice:
        """Of things dealt out one by one, those that are this rank's."""
        return slice(self.rank, None, self.world)

    def share(self, rows: int) -> slice:
        """Of a batch, the rows that are this rank's; where there are fewer rows than ranks all are the first's.

        >>> [Ranks(rank, 3).share(8) for rank in range(3)], Ranks(1, 3).share(2)
        ([slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)], slice(0, 0, None))
        """
        if rows < self.world:
            return slice(0, rows if self.first else 0)
        return slice(rows * self.rank // self.world, rows * (self.rank + 1) // self.world)

    def among(self, rows: int) -> "Ranks":
        """Those that have rows of a batch of so many."""
        return self if rows >= self.world else ALONE

    def threads(self, asked: int) -> int:
        """Threads of torch for this process, 0 for as they are: torchrun, unless told, leaves each with one."""
        if asked or self.world == 1 or os.environ.get("OMP_NUM_THREADS", "1") != "1":
            return asked
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores // self.neighbours)

    def total(self, x: Tensor) -> Tensor:
        """The sum over ranks, with gradient: each rank's loss may be made of it."""
        return x if self.world == 1 else _Total.apply(x, self)  # type: ignore[no-untyped-call]

    def gather(self, own: Tensor, rows: int) -> Tensor:
        """The rows of the whole batch, (rows, ...), from those of each rank, (own, ...), with gradient."""
        if self.world == 1:
            return own
        whole = own.new_zeros(rows, *own.shape[1:])
        whole[self.share(rows)] = own
        return self.total(whole)

    def logsumexp(self, x: Tensor) -> Tensor:
        """The logarithm of the sum over ranks of exp(x), with gradient."""
        if self.world == 1:
            return x
        top = self.reduce(x.detach().clone(), dist.ReduceOp.MAX)
        return self.total((x - top).exp()).log() + top

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sum over ranks of each tensor, all in one message of the first one's type."""
        if self.world == 1:
            return list(tensors)
        flat = self.reduce(torch.cat([tensor.reshape(-1).to(tensors[0].dtype) for tensor in tensors]))
        pieces = flat.split([tensor.numel() for tensor in tensors])
        return [piece.view(tensor.shape).to(tensor.dtype) for piece, tensor in zip(pieces, tensors, strict=True)]

    def reduce(self, x: Tensor, how: Any = dist.ReduceOp.SUM) -> Tensor:
        """``x``, changed in place to the sum over ranks (or another operation); no gradient.

        Raises:
            RankLost: another process ended, or does not answer.
        """
        with _lost(f"rank {self.rank} of {self.world}"):
            dist.all_reduce(x, how)
        return x

    def exchange(self, value: Any) -> list[Any]:
        """What every rank has to say, in the order of ranks: anything that JSON can hold."""
        if self.world == 1:
            return [value]
        text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = self._all(torch.tensor([len(text)])).flatten().tolist()
        lines = self._all(nn.functional.pad(text, (0, max(sizes) - len(text)))).cpu().numpy()
        return [json.loads(line[:size].tobytes()) for line, size in zip(lines, sizes, strict=True)]

    def in_turn(self, own: Sequence[Item]) -> list[Item]:
        """Of things dealt out one by one, all in order, from what each rank made of its own (see ``every``)."""
        found = self.exchange(list(own))
        return [found[i % self.world][i // self.world] for i in range(sum(map(len, found)))]

    def agree(self, word: str | None) -> str | None:
        """What any rank asks for, the same for all: the word of the first that has one."""
        return next(filter(None, self.exchange(word)), None)

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """A block that either all ranks get through or none does; each must come here.

        Raises:
            RankLost: another rank could not; says which, and why.
        """
        fault: LowerboundError | None = None
        try:
            yield
        except LowerboundError as error:
            fault = error
        said = self.exchange(None if fault is None else f"error {fault.id}: {fault}")
        if fault is not None:
            raise fault
        for rank, line in enumerate(said):
            if line is not None:
                raise RankLost("another process of the training could not go on", where=f"rank {rank}", found=line)

    def copies(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        """The first rank's tensors by group and name, on the CPU."""
        flat = {f"{group} {name}": tensor for group, some in tensors.items() for name, tensor in some.items()}
        owned = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in flat.items()}
        told = torch.frombuffer(bytearray(safetensors.torch.save(owned)), dtype=torch.uint8).to(self.device)
        sizes = self.exchange(len(told))
        text = told if self.first else torch.empty(sizes[0], dtype=torch.uint8, device=self.device)
        with _lost(f"rank {self.rank} of {self.world}"):
            dist.broadcast(text, 0)
        found: dict[str, dict[str, Tensor]] = {group: {} for group in tensors}
        for name, tensor in safetensors.torch.load(text.cpu().numpy().tobytes()).items():
            group, _, rest = name.partition(" ")
            found[group][rest] = tensor
        return found

    def check(self, model: nn.Module, objective: nn.Module, rows: int, batch: int, *, compiled: bool) -> None:
        """Refuse what several processes would do otherwise than one.

        Raises:
            BadOption: fewer rows in a batch, or in all, than processes.
            Incompatible: a module that looks at the rows of its own process alone.
        """
        if self.world == 1:
            return
        for where, number in (("train.batch", batch), ("the training rows", rows)):
            if number < self.world:
                raise BadOption(f"fewer rows than the {self.world} processes", where=where, found=str(number),
                                mend="Start fewer processes.")  # fmt: skip
        for name, module in [*model.named_modules(), *objective.named_modules()]:
            coupled = isinstance(module, Part) and module.couples_rows
            if isinstance(module, BLIND) or (coupled and not module.gathers):
                title = module.title if isinstance(module, Part) else f"{type(module).__name__} '{name}'"
                raise Incompatible(f"{title} does not see the rows, or the noise, of {self.world - 1} other processes",
                                   mend="Train in one process, or use nets without it.")  # fmt: skip
            if coupled and compiled:
                raise Incompatible(f"train.compile = on, and {module.title} which asks other processes in every step",
                                   mend="Set train.compile = off.")  # fmt: skip

    def _all(self, own: Tensor) -> Tensor:
        """A row from each rank."""
        whole = torch.zeros(self.world, *own.shape, dtype=own.dtype)
        whole[self.rank] = own
        return self.reduce(whole.to(self.device))


ALONE = Ranks()


class _Total(torch.autograd.Function):
    """The sum over ranks; its gradient is the sum of what each rank's loss makes of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.reduce(x.contiguous().clone())

    @staticmethod
    def backward(ctx: Any, *through: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.reduce(through[0].contiguous().clone()), None


@contextmanager
def together(device: str, patience: float = PATIENCE) -> Iterator[Ranks]:
    """The processes that torchrun started, for a block; one alone where it did not.

    Args:
        device: ``train.device``. On CUDA each process has a device to itself and they speak through NCCL, else gloo.
        patience: seconds after which a process that does not answer is taken for lost.

    Raises:
        ConfigError: an environment that does not say all that torchrun says, or a device that cannot be shared.
        RankLost: not all of them came.
    """
    told = _told(os.environ)
    if told is None:
        yield Ranks(device=devices.pick(device))
        return
    if dist.is_initialized():
        raise ConfigError("a process group of torch.distributed is there already", found=dist.get_backend(),
                          mend="End it with destroy_process_group(): training makes its own.")  # fmt: skip
    rank, world, local = (told[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    where = _device(device, local)
    ranks = Ranks(rank, world, told["LOCAL_WORLD_SIZE"], where)
    timeout = timedelta(seconds=patience)
    with _lost(f"rank {rank} of {world}"), _towards(os.environ["MASTER_ADDR"]):
        store, *_ = next(rendezvous("env://", timeout=timeout))
        dist.init_process_group(
            "nccl" if where.type == "cuda" else "gloo", store=PrefixStore(f"lowerbound {next(_opened)}", store),
            rank=rank, world_size=world, timeout=timeout, device_id=where if where.type == "cuda" else None,
        )  # fmt: skip
    try:
        yield ranks
    finally:
        with suppress(RuntimeError):  # what is left of a group whose processes are gone
            dist.destroy_process_group()


@contextmanager
def _towards(master: str) -> Iterator[None]:
    """Let gloo speak through the interface that leads to the first machine, for the block in which it looks for one.

    By itself it takes the one that bears the machine's name, which often is the loop back to the machine itself.
    """
    name = "" if os.environ.get(INTERFACE) else _interface(master)
    if name:
        os.environ[INTERFACE] = name
    try:
        yield
    finally:
        if name:
            del os.environ[INTERFACE]


def _interface(master: str) -> str:
    """The network interface from which a machine is reached; nothing where the system does not say."""
    try:
        from fcntl import ioctl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((master, 9))  # sends nothing: it only finds the way
            here = socket.inet_aton(probe.getsockname()[0])
            for _, name in socket.if_nameindex():
                with suppress(OSError):  # one without an address
                    if ioctl(probe, ADDRESS_OF, struct.pack("256s", name.encode()))[20:24] == here:
                        return name
    except (ImportError, OSError):
        pass
    return ""


def _told(environment: Mapping[str, str]) -> dict[str, int] | None:
    """Rank and number of processes, as torchrun says them; None where there is one process."""
    text = environment.get("WORLD_SIZE", "")
    if text == "1" or not (text or environment.get("RANK")):
        return None
    missing = [name for name in TOLD if not environment.get(name)]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} not set", where="environment", found=f"WORLD_SIZE = {text or 'unset'}",
            expected=", ".join(TOLD), mend="Start it with torchrun, or unset RANK and WORLD_SIZE.",
        )  # fmt: skip
    world, near = _number("WORLD_SIZE", text, 1, MANY), environment.get("LOCAL_WORLD_SIZE", text)
    return {
        "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": _number("LOCAL_WORLD_SIZE", near, 1, MANY),
        **{name: _number(name, environment[name], 0, world - 1) for name in ("RANK", "LOCAL_RANK")},
        "MASTER_PORT": _number("MASTER_PORT", environment["MASTER_PORT"], 0, 65535),
    }  # fmt: skip


def _number(name: str, text: str, least: int, most: int) -> int:
    if text.isdecimal() and least <= int(text) <= most:
        return int(text)
    raise ConfigError(f"{name} cannot be", where="environment", found=f"'{text}'",
                      expected=f"a whole number from {least} to {most}")  # fmt: skip


def _device(name: str, local: int) -> torch.device:
    """The device of the process that is the ``local``-th on its machine."""
    found = devices.pick(name)
    if found.type == "mps":  # its tensors cannot be sent
        if name != "auto":
            raise BadOption("no device for several processes", where="train.device", found="'mps'", expected="cpu")
        found = torch.device("cpu")
    if found.type == "cuda":
        if local >= torch.cuda.device_count():
            raise BadOption(
                "more processes than devices on this machine", where="train.device",
                found=f"process {local + 1}, {torch.cuda.device_count()} CUDA devices",
                mend="Start as many processes as there are devices, or set train.device = cpu.",
            )  # fmt: skip
        found = torch.device("cuda", local)
    return found


@contextmanager
def _lost(where: str) -> Iterator[None]:
    """Whatever a group that lost a member says, by the name of what happened."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        reason = PLACE.sub("", said).partition(". ")[0]
        raise RankLost(
            "another process of the training ended, or does not answer", where=f"{where}, on {socket.gethostname()}",
            found=reason, mend="See what that one said last; the same command with --resume auto goes on.",
        ) from error  # fmt: skip
