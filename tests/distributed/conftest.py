"""Processes that train together: copies of this one, told what torchrun would tell them."""

import os
import socket
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch

from lowerbound.ranks import Ranks, together

Work = Callable[[Ranks], Any]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def told(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun puts into the environment."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", **{name: str(number) for name, number in numbers.items()}}


def process(work: Callable[[int], Any], rank: int, world: int, port: int, answer: Connection) -> None:
    os.environ.update(told(rank, world, port))
    try:
        answer.send(work(rank))
    except Exception as error:
        answer.send(error)


@pytest.fixture(scope="session")
def start() -> Callable[[int, Callable[[int], Any]], list[Any]]:
    """What so many processes make of their number: answers, errors, or None of one that was killed."""

    def run(world: int, work: Callable[[int], Any]) -> list[Any]:
        context, port, answers = get_context("fork"), free_port(), []
        for rank in range(world):
            here, there = context.Pipe(duplex=False)
            child = context.Process(target=process, args=(work, rank, world, port, there), daemon=True)
            child.start()
            there.close()
            answers.append((child, here))
        found = []
        for child, here in answers:
            try:
                found.append(here.recv())
            except EOFError:
                found.append(None)
            child.kill()
            child.join()
        return found

    return run


@pytest.fixture(scope="session")
def group(start: Callable[[int, Callable[[int], Any]], list[Any]]) -> Callable[[int, Work], list[Any]]:
    """What each of so many ranks makes of the group; an error of any is raised."""

    def run(world: int, work: Work) -> list[Any]:
        def one(rank: int) -> Any:
            with together("cpu", 60) as ranks, torch.random.fork_rng(devices=[]):
                return work(ranks)

        found = start(world, one)
        for answer in found:
            if isinstance(answer, Exception):
                raise answer
        return found

    return run
