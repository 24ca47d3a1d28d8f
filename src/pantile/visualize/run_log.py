"""The metrics of a run as columns, over all its resumes."""

from pathlib import Path

import numpy as np

from pantile.visualize.curves import read_metrics


def read_run_log(run: Path) -> dict[str, np.ndarray]:
    """Joins the CSV files of a run: each resume starts a file of its own, and what an interrupted part logged beyond
    the checkpoint that was resumed is left out.

    Returns:
        Column name -> (rows,) float64, NaN where a row has no such value; rows in order of ``step``.
    """
    files = sorted((run / "logs").glob("from_step_*/metrics.csv"))
    starts = [int(path.parent.name.removeprefix("from_step_")) for path in files]
    parts = []
    for path, following in zip(files, [*starts, None][1:], strict=True):
        columns = read_metrics(path)
        keep = slice(None) if following is None else columns["step"] < following
        parts.append({name: values[keep] for name, values in columns.items()})
    names = list(dict.fromkeys(name for part in parts for name in part))
    return {
        name: np.concatenate([part.get(name, np.full(len(part["step"]), np.nan)) for part in parts]) for name in names
    }
