"""Stages that overlap: while the network works on an image, the next one is read and those before it are finished."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item, Read, Inferred, Finished = TypeVar("Item"), TypeVar("Read"), TypeVar("Inferred"), TypeVar("Finished")

FINISHING = 2  # images at a time; two cores are busy when one reads or infers


def in_turn(
    items: Sequence[Item],
    read: Callable[[Item], Read],
    infer: Callable[[Read], Inferred],
    finish: Callable[[Item, Read, Inferred], Finished],
) -> Iterator[tuple[Item, Finished]]:
    """Item by item: for those of which two may not fit into memory."""
    for item in items:
        value = read(item)
        yield item, finish(item, value, infer(value))


def overlapping(
    items: Sequence[Item],
    read: Callable[[Item], Read],
    infer: Callable[[Read], Inferred],
    finish: Callable[[Item, Read, Inferred], Finished],
) -> Iterator[tuple[Item, Finished]]:
    """The same in the same order. ``read`` runs in a thread, one item ahead; ``infer`` in this one; ``finish`` in
    ``FINISHING`` others. So that many and two more items are held at most. What a stage raises is raised here, at its
    item.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(FINISHING) as finisher:
        behind: deque[tuple[Item, Future[Finished]]] = deque()
        ahead = deque(reader.submit(read, item) for item in items[:1])
        try:
            for index, item in enumerate(items):
                value = ahead.popleft().result()
                ahead.extend(reader.submit(read, following) for following in items[index + 1 : index + 2])
                inferred = infer(value)
                while len(behind) == FINISHING or (behind and behind[0][1].done()):
                    yield _first(behind)
                behind.append((item, finisher.submit(finish, item, value, inferred)))
            while behind:
                yield _first(behind)
        finally:  # an exception or an interruption: what has not begun does not begin
            for future in (*ahead, *(future for _, future in behind)):
                future.cancel()


def _first(behind: deque[tuple[Item, Future[Finished]]]) -> tuple[Item, Finished]:
    item, future = behind[0]
    finished = future.result()
    behind.popleft()
    return item, finished
