"""The Pareto front against its definition, and that a plot is written."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pantile.visualize.pareto import draw_scatter, pareto_front


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_what_no_other_point_beats(points):
    costs, gains = [c for c, _ in points], [g for _, g in points]
    front = pareto_front(costs, gains)

    def beaten(i):
        better = (costs[j] <= costs[i] and gains[j] >= gains[i] and points[j] != points[i] for j in range(len(points)))
        return any(better)

    assert {points[i] for i in front} == {points[i] for i in range(len(points)) if not beaten(i)}
    assert len({points[i] for i in front}) == len(front)
    assert sorted(front, key=lambda i: costs[i]) == front


def test_a_plot_is_written(tmp_path):
    for front in (True, False):
        path = tmp_path / f"{front}.png"
        draw_scatter(path, ["a", "b", "c"], [1.0, 2.0, 3.0], [10.0, 30.0, 20.0], "ms", "PQ", "title", front)
        assert np.asarray(Image.open(path).convert("RGB")).std() > 5
