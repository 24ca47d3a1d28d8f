"""What a job on films writes, in the layout of VIPSeg's predictions, and the logs by which it goes on.

::

    out/pred.json                           written last: annotations by video, categories
    out/pred.jsonl                          the log: what the job is, then a line for each finished film
    out/pan_pred/<film>/<frame>.png         id = R + 256 G + 65536 B, 0 is void; an id is a track
    out/overlays/<film>.mp4                 the film with its segments, in colours that stay
    out/tracks/<film>.jsonl                 a line for each finished frame
    out/tracks/<film>.npz                   what the tracker knew after some frame; gone when the film is done

Rows of frames are read from their files when they are needed, never held: a film may have any number of them.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError


@dataclass
class FilmLog:
    """
    Attributes:
        settings: what decides a prediction, and of which films.
        ended: film -> why it is finished, "" where it went to its end.
    """

    settings: dict
    ended: dict[str, str] = field(default_factory=dict)


class FilmFolder:
    """Paths of one job, and what is there already."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.json = out / "pred.json"
        self.log = out / "pred.jsonl"
        self.maps = out / "pan_pred"
        self.drawn = out / "overlays"
        self.tracks = out / "tracks"

    def png(self, film: str, stem: str) -> Path:
        return self.maps / film / f"{stem}.png"

    def overlay(self, film: str) -> Path:
        return self.drawn / f"{film}.mp4"

    def state(self, film: str) -> Path:
        return self.tracks / f"{film}.npz"

    def frames(self, film: str) -> Path:
        return self.tracks / f"{film}.jsonl"

    def refuse_existing(self) -> None:
        """
        Raises:
            UserError: there are predictions.
        """
        if self.log.exists() or self.json.exists() or self.maps.exists():
            raise UserError(
                f"{self.out} holds predictions of an earlier run: --resume goes on with it, --overwrite replaces it, "
                "or name another --out."
            )

    def clear(self) -> None:
        """Removes what an earlier job on films wrote; films that its log does not name stay."""
        log = self.read()
        for film in log.settings.get("films", {}) if log else ():
            for path in (self.overlay(film), self.state(film), self.frames(film)):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.maps / film, ignore_errors=True)
        for path in (self.json, self.log):
            path.unlink(missing_ok=True)

    def start(self, log: FilmLog) -> None:
        """Writes the log anew."""
        rows = [json.dumps({"settings": log.settings})]
        rows += [json.dumps({"film": film, "ended": why}) for film, why in log.ended.items()]
        with replacing(self.log) as temporary:
            temporary.write_text("\n".join(rows) + "\n", encoding="utf-8")

    def end(self, film: str, why: str) -> None:
        """A film is finished: its line in the log."""
        _append(self.log, {"film": film, "ended": why})
        self.state(film).unlink(missing_ok=True)

    def read(self) -> FilmLog | None:
        """What an earlier job left; None where there is no log.

        Raises:
            UserError: the log is damaged.
        """
        if not self.log.exists():
            return None
        try:
            first, *rows = self.log.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
            log = FilmLog(json.loads(first)["settings"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.log} is damaged: start anew with --overwrite.") from None
        for row in _whole_rows(rows):
            log.ended[row["film"]] = row["ended"]
        return log

    def add_frame(self, film: str, row: dict) -> None:
        """A frame is finished: its line in the film's log."""
        _append(self.frames(film), row)

    def rows(self, film: str) -> Iterator[dict]:
        """Of the finished frames of a film, in order; a line that an interruption cut is none."""
        if self.frames(film).exists():
            with self.frames(film).open(encoding="utf-8", errors="replace") as file:
                yield from _whole_rows(file)

    def keep_frames(self, film: str, count: int) -> None:
        """Forgets the frames of a film behind the first ``count``."""
        with replacing(self.frames(film)) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in islice(self.rows(film), count))

    def save_state(self, film: str, frames: int, state: dict[str, np.ndarray]) -> None:
        """What a tracker knows after so many frames."""
        with replacing(self.state(film)) as temporary, temporary.open("wb") as file:
            np.savez(file, frames=np.array(frames), **state)

    def load_state(self, film: str) -> tuple[int, dict[str, np.ndarray]]:
        """How many frames lie behind the saved state, and the state; 0 and nothing where there is none to read."""
        try:
            with np.load(self.state(film)) as content:
                state = {name: content[name] for name in content.files}
            return int(state.pop("frames")), state
        except (OSError, ValueError, KeyError):
            return 0, {}

    def write_json(self, films: Sequence[str], categories: list[dict]) -> dict[str, int]:
        """``pred.json`` of the logs; gives the number of frames of each film."""
        counts = dict.fromkeys(films, 0)
        with replacing(self.json) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write('{"annotations": [')
            for place, film in enumerate(films):
                file.write(f'{", " * (place > 0)}{{"video_id": {json.dumps(film)}, "annotations": [')
                for row in self.rows(film):
                    file.write(", " * (counts[film] > 0) + json.dumps(row))
                    counts[film] += 1
                file.write("]}")
            file.write(f'], "categories": {json.dumps(categories)}}}')
        return counts


def _append(path: Path, row: Mapping) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _whole_rows(lines) -> Iterator[dict]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue  # what an interruption cut: its frame is predicted again
