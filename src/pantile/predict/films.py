"""Predicting films: frame by frame or window by window, tracked, with memory that does not grow with their length."""

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from rich.progress import Progress, TaskID

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.data.film_writer import writing_film
from pantile.data.films import BrokenFilm, Film
from pantile.data.id_png import save_ids
from pantile.data.image_files import read_panoptic_png
from pantile.data.segment_rows import segments_info
from pantile.inference.films import run_film
from pantile.merge.tracking.tracker import TRACKERS, TrackConfig, Tracker
from pantile.predict.files import PredictOptions, decisive_settings
from pantile.predict.film_folder import FilmFolder, FilmLog
from pantile.predict.job import refuse_other_settings
from pantile.predict.predictor import Predictor
from pantile.predict.progress import rich_bars
from pantile.visualize.film_colors import FilmColors
from pantile.visualize.overlay import overlay

STATE_EVERY = 25  # frames; so many are predicted again after a kill, or a window


@dataclass(frozen=True)
class PredictedFilms:
    """
    Attributes:
        json: path of ``pred.json``.
        frames: film -> how many frames the JSON has.
        kept: how many of all frames an earlier run had finished.
        broken: film -> why it ends before its end.
    """

    json: Path
    frames: dict[str, int]
    kept: int
    broken: dict[str, str]

    @property
    def incomplete(self) -> bool:
        """Whether films ended before their end."""
        return bool(self.broken)


def predict_films(
    predictor: Predictor,
    films: Sequence[Film],
    out: Path,
    tracking: TrackConfig | str = "overlap",
    options: PredictOptions | None = None,
) -> PredictedFilms:
    """Writes what ``film_folder`` describes, and goes on where an interrupted job stopped.

    Frames are predicted one by one, or in the windows of a model that reads clips, and are final when they are written.
    A film that breaks off keeps what was decoded. Overlay films are drawn at the end of each film from its files, so
    that they, too, survive an interruption.

    Args:
        tracking: a way in ``TRACKERS`` with its defaults, or its config.

    Raises:
        UserError: ``out`` holds other predictions, a frame of another size, or a film that cannot be read.
    """
    options, folder = options or PredictOptions(), FilmFolder(out)
    if isinstance(tracking, str):
        tracking = TRACKERS.find(tracking, "--track")()
    log, done = _prepare(predictor, films, tracking, folder, options)
    with rich_bars() as progress:
        for film in films:
            bar = progress.add_task(film.name, total=film.count)
            if film.name not in log.ended:
                tracker = tracking.make(predictor.taxonomy)
                log.ended[film.name] = _predict_one(predictor, film, tracker, folder, done[film.name], progress, bar)
            if options.overlays and not folder.overlay(film.name).is_file():
                progress.update(bar, description=f"{film.name}, overlay", completed=0)
                _draw(predictor, film, folder, progress, bar)
            progress.update(bar, visible=False)
    counts = folder.write_json([film.name for film in films], predictor.taxonomy.to_coco())
    broken = {name: why for name, why in log.ended.items() if why}
    return PredictedFilms(folder.json, counts, sum(done.values()), broken)


def _prepare(
    predictor: Predictor, films: Sequence[Film], tracking: TrackConfig, folder: FilmFolder, options: PredictOptions
) -> tuple[FilmLog, dict[str, int]]:
    """The log, and how many frames of each film are done: all, or those up to its tracker's last saved state."""
    if options.existing == "refuse":
        folder.refuse_existing()
    settings = decisive_settings(predictor, None) | {
        "tracking": {"way": type(tracking).__name__, **asdict(tracking)},
        "films": {film.name: str(film.path.resolve()) for film in films},
    }
    if predictor.network.clips is not None:
        settings["clips"] = asdict(predictor.network.clips)
    old = folder.read() if options.existing == "resume" else None
    if old is not None:
        refuse_other_settings(old.settings, settings, folder.out)
    if options.existing == "overwrite":
        folder.clear()
    log = old or FilmLog(settings)
    folder.start(log)
    done = {}
    for film in films:
        done[film.name] = sum(1 for _ in folder.rows(film.name))
        if film.name not in log.ended:
            behind, _ = folder.load_state(film.name)
            done[film.name] = behind if behind <= done[film.name] else 0
            folder.keep_frames(film.name, done[film.name])
    return log, done


def _predict_one(
    predictor: Predictor, film: Film, tracker: Tracker, folder: FilmFolder, done: int, progress: Progress, bar: TaskID
) -> str:
    """Frames behind the first ``done``; gives why the film ends before its end, "" where it does not."""
    run = run_film(predictor.network, tracker, predictor.views, predictor.tiling)
    if done:
        run.load_state(folder.load_state(film.name)[1])
    progress.update(bar, completed=done)
    waiting: deque[tuple[float, str]] = deque()
    saved, why = done, ""

    def keep(predictions: Sequence[Prediction]) -> None:
        for tracked in predictions:
            time, stem = waiting.popleft()
            folder.add_frame(film.name, _write(predictor, film, time, stem, tracked, folder))
            progress.advance(bar)

    try:
        for number, frame in enumerate(islice(film.frames(), done - run.repeated, None), start=done - run.repeated):
            if number >= done:
                waiting.append((frame.time, frame.stem))
            keep(run.add(frame.image))
            finished = number + 1 - len(waiting)
            if finished - saved >= STATE_EVERY and (state := run.state()) is not None:
                folder.save_state(film.name, finished, state)
                saved = finished
    except BrokenFilm as error:
        why = str(error)
    except UserError:  # a frame of another size: those before it are kept
        keep(run.finish())
        raise
    keep(run.finish())
    folder.end(film.name, why)
    return why


def _write(predictor: Predictor, film: Film, time: float, stem: str, tracked: Prediction, folder: FilmFolder) -> dict:
    """The PNG of a frame, and its row."""
    save_ids(tracked.panoptic.ids, folder.png(film.name, stem))
    segments = segments_info(tracked.panoptic, predictor.taxonomy)
    scores = [{"score": round(segment.score, 4)} for segment in tracked.panoptic.segments]
    return {
        "file_name": f"{stem}.png",
        "image_id": stem,
        "time": round(time, 6),
        "segments_info": [row | score for row, score in zip(segments, scores, strict=True)],
    }


def _draw(predictor: Predictor, film: Film, folder: FilmFolder, progress: Progress, bar: TaskID) -> None:
    """The overlay film of the frames that were predicted; what follows them is not asked for."""
    classes = predictor.taxonomy.index_of_id
    colors, frames = FilmColors(predictor.taxonomy), film.frames()
    with (
        replacing(folder.overlay(film.name)) as temporary,
        writing_film(temporary) as writer,
    ):
        for row in folder.rows(film.name):
            frame = next(frames)
            segments = tuple(Segment(s["id"], classes[s["category_id"]]) for s in row["segments_info"])
            ids = read_panoptic_png(folder.png(film.name, frame.stem))
            panoptic = PanopticMap(ids, segments)
            drawn = overlay(frame.image, panoptic, predictor.taxonomy, colors=colors.of(panoptic))
            writer.add(drawn, frame.time)
            progress.advance(bar)
