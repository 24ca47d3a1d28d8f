"""One thread inside, as many as before outside, whoever else is inside."""

import threading

import pytest
import torch

from pantile.contracts.threads import one_thread

CPU = torch.device("cpu")


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_inside_and_outside(three_threads):
    with one_thread(CPU):
        assert torch.get_num_threads() == 1
        with one_thread(CPU):
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), one_thread(CPU):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == 3
    with one_thread(torch.device("meta")):
        assert torch.get_num_threads() == 3


def test_who_comes_while_another_is_inside_leaves_the_number_of_before(three_threads):
    entered, leave, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        with one_thread(CPU):
            entered.set()
            leave.wait(20)
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    with one_thread(CPU):
        thread.start()
        assert entered.wait(20)
    assert torch.get_num_threads() == 3
    leave.set()
    thread.join(20)
    assert seen == [3] and torch.get_num_threads() == 3
