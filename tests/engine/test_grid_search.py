"""The grid search: what it measures, that it goes on where it stopped, and that a model too large is only a row."""

from dataclasses import replace

import pytest

from pantile.contracts.errors import UserError
from pantile.engine.grid_search import TABLE, GridSettings, measure, read_table, search_grid
from pantile.models import create_model
from pantile.models.cost import count_cost
from pantile.recipes import make_recipe
from pantile.recipes.swidernet_grid import grid_candidates

SETTINGS = GridSettings("fast", (65, 65), 5, repeats=1, memory_limit=4.0, device="here", threads=1)


@pytest.mark.parametrize(("space", "count"), [("fast", 45), ("strong", 21)])
def test_the_grids_are_the_papers(space, count):
    candidates = grid_candidates(space)
    assert len(candidates) == count
    assert {c.model.regime for c in candidates.values()} == {space}


def test_rows_hold_cost_latency_memory_and_quality_and_a_second_search_measures_nothing(tmp_path, monkeypatch):
    config = make_recipe("panoptic_deeplab_nano")
    asked = []
    rows = search_grid({"nano": config}, SETTINGS, tmp_path / "out", lambda name, _: asked.append(name) or 0.25)
    (row,) = rows
    model = create_model(config.model, 5)
    assert row.parameters == sum(p.numel() for p in model.parameters())
    assert row.multiply_adds == count_cost(model, (65, 65)).multiply_adds
    assert row.status == "ok" and row.latency_ms > 0 and 1 < row.memory_mib < 4096 and row.pq == 0.25
    assert read_table(tmp_path / "out" / TABLE) == rows

    monkeypatch.setattr("pantile.engine.grid_search.measure", lambda *_: pytest.fail("measured again"))
    assert search_grid({"nano": config}, SETTINGS, tmp_path / "out", lambda *_: 0.9) == rows
    assert asked == ["nano"]


def test_weights_too_large_are_a_row_that_says_so():
    row = measure("large", grid_candidates("strong")["swidernet_1_1_6"], replace(SETTINGS, memory_limit=0.5))
    assert "does not fit" in row.status
    assert row.latency_ms is None and row.memory_mib is None and row.parameters > 800e6


def test_weights_that_fit_and_a_network_that_does_not_are_a_row_that_says_so():
    config = make_recipe("panoptic_deeplab_nano")
    settings = replace(SETTINGS, memory_limit=0.1, size=(1025, 1025))
    row = measure("wide", config, settings)
    assert 4 * row.parameters < 0.1 * 2**30 / 5
    assert "does not fit" in row.status


def test_other_settings_and_foreign_folders_are_refused(tmp_path):
    search_grid({}, SETTINGS, tmp_path / "out")
    with pytest.raises(UserError, match=r"repeats=1, not 2"):
        search_grid({}, replace(SETTINGS, repeats=2), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="holds no search"):
        search_grid({}, SETTINGS, tmp_path / "mine")


def test_an_unknown_space_is_refused():
    with pytest.raises(UserError, match="fast or strong"):
        grid_candidates("huge")
