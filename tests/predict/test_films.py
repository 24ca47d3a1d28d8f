"""Films: ids that stay, times that are kept, what breaks off, what is resumed, and memory that does not grow."""

import json
import sys
import tracemalloc

import numpy as np
import pytest
from film_makers import COLORS, SIZE, see_colors, squares, write_film, write_frames

from pantile.contracts.errors import UserError
from pantile.data.films import BrokenFilm, FilmFile, FilmFrame, FrameFolder, open_films
from pantile.data.image_files import read_panoptic_png
from pantile.engine.task import PanopticTask
from pantile.inference import films as film_runs
from pantile.merge.tracking import OverlapTracking, QueryTracking
from pantile.predict import PredictOptions, Predictor, films
from pantile.predict.films import predict_films
from tiny_runs import make_tiny_config

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def predictor(tiny_scenes):
    return Predictor(PanopticTask(make_tiny_config(), tiny_scenes.taxonomy))


@pytest.fixture
def seeing(predictor, monkeypatch):
    monkeypatch.setattr(film_runs, "predict_frame", see_colors)
    return predictor


def rows_of(out, film):
    content = json.loads((out / "pred.json").read_text())
    return next(row["annotations"] for row in content["annotations"] if row["video_id"] == film)


def ids_at_squares(out, film, count):
    """The two squares' ids in each frame."""
    seen = set()
    for number, row in enumerate(rows_of(out, film)):
        ids = read_panoptic_png(out / "pan_pred" / film / row["file_name"])
        left = 4 + 2 * (number % 30) + 8
        seen.add((int(ids[16, left]), int(ids[48, SIZE[1] - left])))
        assert {s["id"] for s in row["segments_info"]} == set(np.unique(ids).tolist()) - {0}
    assert len(rows_of(out, film)) == count
    return seen


@pytest.mark.parametrize("tracking", [OverlapTracking(), QueryTracking()])
def test_ids_stay_over_a_film(seeing, tmp_path, tracking):
    film = write_film(tmp_path / "walk.mp4", 12)
    made = predict_films(seeing, open_films([film]), tmp_path / "out", tracking)
    assert made.frames == {"walk": 12} and not made.broken
    assert len(ids_at_squares(tmp_path / "out", "walk", 12)) == 1
    assert not list((tmp_path / "out").glob("tracks/*.npz"))


def test_the_overlay_film_keeps_times_and_colours(seeing, tmp_path):
    times = [0, 0.04, 0.5, 0.54, 1.2, 1.24]
    film = write_film(tmp_path / "odd.mkv", 6, times)
    out = tmp_path / "out"
    predict_films(seeing, open_films([film]), out, OverlapTracking())
    assert [row["time"] for row in rows_of(out, "odd")] == pytest.approx(times, abs=1e-3)
    drawn = list(FilmFile(out / "overlays" / "odd.mp4").frames())
    assert [frame.time for frame in drawn] == pytest.approx(times, abs=1e-3)
    for row in (16, 48):
        shades = [
            f.image[row, x] for n, f in enumerate(drawn) for x in [4 + 2 * n + 8 if row == 16 else 96 - 12 - 2 * n]
        ]
        assert np.ptp(np.array(shades, dtype=int), axis=0).max() < 40  # one colour, within what the codec loses


def test_a_folder_of_frames_is_a_film_too(seeing, tmp_path):
    folder = write_frames(tmp_path / "walk", 4)
    write_frames(folder / "later", 3)
    found = open_films([folder])
    assert [(f.name, f.count) for f in found] == [("walk", 4), ("later", 3)]
    options = PredictOptions(overlays=False)
    predict_films(seeing, found, tmp_path / "out", OverlapTracking(), options)
    assert [row["file_name"] for row in rows_of(tmp_path / "out", "later")] == ["00000.png", "00001.png", "00002.png"]
    assert not (tmp_path / "out" / "overlays").exists()


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize(("name", "options"), [("cut.mkv", {}), ("cut.mp4", {"options": {"movflags": "faststart"}})])
def test_a_film_that_breaks_off_keeps_what_was_decoded(seeing, tmp_path, name, options):
    film = cut(write_film(tmp_path / name, 40, **options), 0.6)
    made = predict_films(
        seeing, open_films([film]), tmp_path / "out", OverlapTracking(), PredictOptions(overlays=False)
    )
    kept = made.frames["cut"]
    assert 5 <= kept < 40
    assert f"breaks off after {kept} frames" in made.broken["cut"]
    assert len(ids_at_squares(tmp_path / "out", "cut", kept)) == 1


def test_what_is_no_film_is_told(tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(UserError, match=r"text\.mp4 cannot be opened as a film"):
        open_films([tmp_path / "text.mp4"])
    cut(write_film(tmp_path / "headless.mp4", 10), 0.5)  # its index stood at its end
    with pytest.raises(UserError, match=r"headless\.mp4 cannot be opened"):
        open_films([tmp_path / "headless.mp4"])
    with pytest.raises(UserError, match="no such film"):
        open_films([tmp_path / "none.mp4"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="neither images nor folders"):
        open_films([tmp_path / "empty"])
    write_frames(tmp_path / "walk", 1)
    write_film(tmp_path / "walk.mp4", 2)
    with pytest.raises(UserError, match="would both be called walk"):
        open_films([tmp_path / "walk", tmp_path / "walk.mp4"])


def test_frames_of_another_size_are_refused_and_the_others_kept(seeing, tmp_path):
    folder = write_frames(tmp_path / "grows", 6, size_of=lambda number: SIZE if number < 4 else (80, 96))
    with pytest.raises(UserError, match=r"00004\.png is 96x80 pixels and the frames before are 96x64"):
        predict_films(seeing, open_films([folder]), tmp_path / "out", OverlapTracking())
    assert len(list((tmp_path / "out" / "pan_pred" / "grows").glob("*.png"))) == 4


@pytest.mark.parametrize("tracking", [OverlapTracking(), QueryTracking()])
@pytest.mark.parametrize("stop", [3, 7])
def test_an_interrupted_film_goes_on_as_if_it_had_not_stopped(seeing, tmp_path, monkeypatch, tracking, stop):
    monkeypatch.setattr(films, "STATE_EVERY", 2)
    found = open_films([write_frames(tmp_path / "walk", 9)])
    options = PredictOptions(overlays=False)
    predict_films(seeing, found, tmp_path / "whole", tracking, options)

    seen = []

    def interrupted(network, image, views, tiling=None):
        seen.append(1)
        if len(seen) > stop:
            raise KeyboardInterrupt
        return see_colors(network, image, views)

    monkeypatch.setattr(film_runs, "predict_frame", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_films(seeing, found, tmp_path / "out", tracking, options)
    assert not (tmp_path / "out" / "pred.json").exists()
    with pytest.raises(UserError, match="--resume goes on with it"):
        predict_films(seeing, found, tmp_path / "out", tracking, options)
    monkeypatch.setattr(film_runs, "predict_frame", see_colors)
    resume = PredictOptions(overlays=False, existing="resume")
    with pytest.raises(UserError, match="tracking"):
        predict_films(seeing, found, tmp_path / "out", OverlapTracking(memory=3), resume)
    made = predict_films(seeing, found, tmp_path / "out", tracking, resume)
    assert made.kept == stop // 2 * 2
    assert rows_of(tmp_path / "out", "walk") == rows_of(tmp_path / "whole", "walk")
    again = predict_films(seeing, found, tmp_path / "out", tracking, PredictOptions(False, "overwrite"))
    assert again.kept == 0 and again.frames == {"walk": 9}


def test_memory_does_not_grow_with_the_film(seeing, tmp_path, monkeypatch):
    class Loop(FrameFolder):
        def frames(self):
            for number in range(120):
                yield FilmFrame(squares(number), number / 25, f"{number:08}")

    held = []

    def counting(*arguments):
        if len(held) == 60:
            tracemalloc.start()
        held.append(tracemalloc.get_traced_memory()[0])
        return see_colors(*arguments)

    monkeypatch.setattr(film_runs, "predict_frame", counting)
    loop = Loop(write_frames(tmp_path / "walk", 2))
    predict_films(seeing, [loop], tmp_path / "out", OverlapTracking(), PredictOptions(overlays=False))
    tracemalloc.stop()
    assert (held[119] - held[80]) / 39 < 1200  # a map of ids is 24576 bytes


def test_without_pyav_a_film_names_the_extra(tmp_path, monkeypatch):
    film = write_film(tmp_path / "walk.mp4", 2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install pantile\[video\]"):
        open_films([film])


def test_colors_of_the_squares_differ():
    assert COLORS[0] != COLORS[1] and issubclass(BrokenFilm, UserError)
