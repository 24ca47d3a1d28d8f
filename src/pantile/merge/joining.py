"""Groups of parts that belong together (union-find), and when two parts do."""

import numpy as np

#: two segments are one thing when their intersection is more than this share of their union, both within the shared
#: strip; from 1/2 on, no segment can have two partners among segments that do not overlap each other
SAME_THING = 0.5


class Groups:
    """A forest of numbered nodes. The root of a group is its smallest number.

    Args:
        count: nodes to start with, each a group of its own.
    """

    def __init__(self, count: int = 0) -> None:
        self._parent = list(range(count))

    def __len__(self) -> int:
        return len(self._parent)

    def add(self) -> int:
        """A new node, a group of its own."""
        self._parent.append(len(self._parent))
        return self._parent[-1]

    def root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low

    def roots(self) -> np.ndarray:
        """(len,) int32, the root of every node."""
        parent = np.array(self._parent, np.int32)
        while True:
            grandparent = parent[parent]
            if np.array_equal(grandparent, parent):
                return parent
            parent = grandparent
