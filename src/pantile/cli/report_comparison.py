"""``pantile report RUN RUN...``: one page of several runs side by side, on the validation images that they share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    from pantile.cli.score_comparison_page import Shown
    from pantile.contracts.panoptic import PanopticMap
    from pantile.contracts.taxonomy import Taxonomy
    from pantile.engine.checkpoint import Checkpoint
    from pantile.engine.run_record import RunRecord
    from pantile.score.result import Totals

PAGE = "comparison.html"


def report_runs(
    runs: Sequence[Path], limit: int | None = None, images: int = 4, out: Path | None = None, weights: str | None = None
) -> Path:
    """Predicts the validation images with the weights of each run and writes the page.

    Args:
        runs: two or more, of one data set; the others are compared with the first.
        limit: only the first images.
        images: how many of those that changed most are drawn.
        weights: "best" (also None), or another of ``--weights``.

    Returns:
        The page's path.

    Raises:
        UserError: a run twice, runs of other data or other classes, or one that says nothing of segments.
    """
    from pantile.cli.checkpoint_argument import opened
    from pantile.cli.score_comparison_page import Shown, comparison_page
    from pantile.contracts.file_names import distinct_names
    from pantile.contracts.output_paths import check_file_target
    from pantile.data.image_files import as_rgb
    from pantile.engine.measures import check_segments, per_class
    from pantile.engine.run_record import load_record
    from pantile.score.comparison import compare_scores
    from pantile.visualize.compared_curves import compared_curves
    from pantile.visualize.comparison_page import write_comparison_page
    from pantile.visualize.run_log import read_run_log

    path = check_file_target(out or Path(PAGE))
    names = distinct_names([run.resolve() for run in runs])
    if names is None:
        raise UserError("report names the same run twice: name each once.")
    records = [load_record(run) for run in runs]
    _check_data(runs, records)
    checkpoints = [opened(run, weights, ours_only=True) for run in runs]
    for run, checkpoint in zip(runs, checkpoints, strict=True):
        check_segments(checkpoint.config, str(run))
    taxonomy = checkpoints[0].taxonomy
    parts = [
        _RunAtWork(run, record, checkpoint, taxonomy, runs[0])
        for run, record, checkpoint in zip(runs, records, checkpoints, strict=True)
    ]
    totals = [part.totals(name, limit) for part, name in zip(parts, names, strict=True)]
    scores = [
        total.score(0, 0, per_class(checkpoint.config)) for total, checkpoint in zip(totals, checkpoints, strict=True)
    ]
    comparison = compare_scores(names, scores, [total.images for total in totals], taxonomy)

    def shown(index: int) -> "Shown":
        image, truth = parts[0].dataset.load(index)
        return Shown(truth, [part.prediction(index) for part in parts], as_rgb(image))

    title = f"{len(runs)} runs on {records[0].val_split} of {Path(records[0].data).name}"
    page = comparison_page(comparison, taxonomy, title, shown, images)
    facts = _facts(records, checkpoints)
    if any(per_class(checkpoint.config) for checkpoint in checkpoints):
        facts.append(("mIoU (%)", [f"{100 * score.miou:.1f}" for score in scores]))
    curves = compared_curves({name: read_run_log(run) for name, run in zip(names, runs, strict=True)})
    write_comparison_page(path, replace(page, facts=facts, curves=curves, settings=_settings(checkpoints)))
    return path


class _RunAtWork:
    """A run's network and the validation images as it reads them.

    Attributes:
        dataset: its classes are in the run's order.
    """

    def __init__(
        self, run: Path, record: "RunRecord", checkpoint: "Checkpoint", taxonomy: "Taxonomy", first: Path
    ) -> None:
        from pantile.contracts.same_classes import match_classes
        from pantile.data.bands import check_bands, settle_reading
        from pantile.engine.evaluate import in_its_classes
        from pantile.predict import predictor_of

        remedy = "compare runs of one data set"
        self._order = match_classes(checkpoint.taxonomy, taxonomy, f"the run {run}", f"the run {first}", remedy)
        self._taxonomy = taxonomy
        _, validation_set = record.datasets()
        self.dataset = in_its_classes(checkpoint, validation_set)
        check_bands(checkpoint.config.model, self.dataset)
        settle_reading(self.dataset, checkpoint.config.images, checkpoint.config.model.in_channels)
        self._predictor = predictor_of(checkpoint)

    def prediction(self, index: int) -> "PanopticMap":
        """Of an image, in the classes of the first run."""
        return self._in_order(self._predictor(self.dataset.load_image(index)).panoptic)

    def totals(self, name: str, limit: int | None) -> "Totals":
        """What is counted of the first images; ``name`` of the run, for the bar."""
        from rich.console import Console
        from rich.progress import track

        from pantile.score.evidence import evidence_of
        from pantile.score.result import Totals

        parts = ("pq", "miou", "errors")
        totals = Totals(self._taxonomy, parts, keep_images=True)
        count = len(self.dataset) if limit is None else min(limit, len(self.dataset))
        for index in track(range(count), name, console=Console(stderr=True), transient=True):
            image, truth = self.dataset.load(index)
            maps = self._in_order(self._predictor(image).panoptic), self._in_order(truth)
            totals.add(self.dataset.name_of(index), evidence_of(*maps, self._taxonomy, parts=parts))
        return totals

    def _in_order(self, panoptic: "PanopticMap") -> "PanopticMap":
        from pantile.contracts.same_classes import renumber

        return renumber(panoptic, self._order)


def _check_data(runs: Sequence[Path], records: "Sequence[RunRecord]") -> None:
    """
    Raises:
        UserError: the runs were validated on different images.
    """
    first = records[0]
    for run, record in zip(runs[1:], records[1:], strict=True):
        if (record.data, record.val_split) != (first.data, first.val_split):
            raise UserError(
                f"{run} was validated on {record.val_split} of {record.data}, and {runs[0]} on {first.val_split} of "
                f"{first.data}: compare runs of one data set and split, or files of predictions with `pantile score`."
            )


def _facts(records: "Sequence[RunRecord]", checkpoints: "Sequence[Checkpoint]") -> list[tuple[str, list[str]]]:
    from pantile.engine.run_cost import parameters_of

    is_thing = [info.is_thing for info in checkpoints[0].taxonomy.classes]
    counts = [parameters_of(checkpoint.config, is_thing) for checkpoint in checkpoints]
    return [
        ("Recipe", [checkpoint.config.recipe for checkpoint in checkpoints]),
        ("Parameters", [f"{count / 1e6:.1f} M" for count in counts]),
        ("Weights", [checkpoint.describe().partition(":")[0] for checkpoint in checkpoints]),
        ("Started", [record.started for record in records]),
        ("Hardware", [record.hardware for record in records]),
    ]


def _settings(checkpoints: "Sequence[Checkpoint]") -> list[tuple[str, list[str]]]:
    """Fields of the configs in which the runs differ; the recipe's name stands among the facts."""
    from pantile.engine.config import to_dict

    flat = [dict(_leaves(to_dict(checkpoint.config))) for checkpoint in checkpoints]
    names = sorted({name for own in flat for name in own} - {"recipe"})
    rows = [(name, [_words(own[name]) if name in own else "–" for own in flat]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _leaves(content: dict, prefix: str = "") -> list[tuple[str, Any]]:
    """("group.field", value) of a nested mapping."""
    rows: list[tuple[str, Any]] = []
    for key, value in content.items():
        rows += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows


def _words(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
