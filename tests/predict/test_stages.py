"""Stages that overlap: the order of a loop, its results and its faults, and no more at a time than said."""

import threading

import pytest

from pantile.predict.stages import FINISHING, in_turn, overlapping


class Recorder:
    """Stages that note what is held: begun to be read, and not finished yet."""

    def __init__(self, faults: dict[str, int] | None = None) -> None:
        self.faults, self.lock, self.held, self.most, self.finished = faults or {}, threading.Lock(), 0, 0, []

    def read(self, item: int) -> int:
        with self.lock:
            self.held += 1
            self.most = max(self.most, self.held)
        self.fail("read", item)
        return 10 * item

    def infer(self, value: int) -> int:
        assert threading.current_thread() is threading.main_thread()
        self.fail("infer", value // 10)
        return value + 1

    def finish(self, item: int, value: int, inferred: int) -> tuple[int, int]:
        self.fail("finish", item)
        with self.lock:
            self.held -= 1
            self.finished.append(item)
        return value, inferred

    def fail(self, stage: str, item: int) -> None:
        if self.faults.get(stage) == item:
            raise KeyError(stage)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 20])
def test_the_same_in_the_same_order(count):
    recorder = Recorder()
    stages = recorder.read, recorder.infer, recorder.finish
    expected = [(item, (10 * item, 10 * item + 1)) for item in range(count)]
    assert list(overlapping(range(count), *stages)) == expected == list(in_turn(range(count), *stages))
    assert recorder.most <= FINISHING + 2 and recorder.held == 0


@pytest.mark.parametrize("stage", ["read", "infer", "finish"])
def test_a_fault_is_raised_at_its_item(stage):
    recorder, found = Recorder({stage: 3}), []
    with pytest.raises(KeyError, match=stage):
        for item, _ in overlapping(range(20), recorder.read, recorder.infer, recorder.finish):
            found.append(item)
    assert found == [0, 1, 2][: len(found)] and len(found) >= 3 - FINISHING
    assert max(recorder.finished) <= 3 + FINISHING  # nothing goes on behind it


def test_while_the_network_works_others_are_read_and_finished():
    """Each stage waits for another one that is at work on another image; a loop would wait for ever."""
    read, finishing, waited = threading.Event(), threading.Event(), []

    def reading(item: int) -> int:
        if item == 2:
            read.set()
        return item

    def infer(value: int) -> int:
        if value == 1:
            waited.append(read.wait(10) and finishing.wait(10))
        return value

    def finish(item: int, value: int, inferred: int) -> None:
        if item == 0:
            finishing.set()
            while not waited:
                pass

    assert [item for item, _ in overlapping(range(4), reading, infer, finish)] == [0, 1, 2, 3]
    assert waited == [True]
