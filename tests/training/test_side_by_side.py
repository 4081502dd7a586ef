"""Independent work on as many threads as torch has, each with one to itself."""

import threading
import time

import pytest
import torch

from lowerbound import devices


def test_results_come_in_order_and_threads_are_put_back() -> None:
    before, names = torch.get_num_threads(), set[str]()

    def work(item: int) -> tuple[int, int]:
        names.add(threading.current_thread().name)
        return item * item, torch.get_num_threads()

    with devices.threads(2):
        assert list(devices.side_by_side(work, range(50))) == [(item * item, 1) for item in range(50)]
        assert torch.get_num_threads() == 2
        assert threading.main_thread().name not in names
    assert torch.get_num_threads() == before


def test_one_thread_needs_no_others() -> None:
    with devices.threads(1):
        here = list(devices.side_by_side(lambda _: threading.current_thread(), range(3)))
    assert set(here) == {threading.current_thread()}


def test_after_an_error_no_item_is_begun() -> None:
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise ValueError("the first")
        time.sleep(0.01)

    with devices.threads(2), pytest.raises(ValueError, match="the first"):
        list(devices.side_by_side(work, range(3000)))
    assert len(begun) < 3000
