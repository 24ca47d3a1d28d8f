"""Where a run's data lie: generated images by their name, folders by their whole path."""

import pytest

from pantile.engine.run_record import RunRecord


@pytest.mark.parametrize("data", ["scenes", "scenes:4,size=33", "video-scenes:1,frames=2,size=33"])
def test_generated_data_keep_their_name_and_open_again(data):
    record = RunRecord.now(data, "train", "val", limit=None)
    assert record.data == data and all(len(dataset) for dataset in record.datasets())


@pytest.mark.parametrize("name", ["scenes_of_mine", "video-scenes-2024"])
def test_a_folder_that_is_called_alike_is_a_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert RunRecord.now(name, "train", "val", limit=None).data == str(tmp_path / name)
