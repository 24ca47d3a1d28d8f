"""``pantile report RUN...``: one self-contained HTML page about a run, or of several side by side."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.checkpoint_argument import add_weights_option, opened
from pantile.cli.numbers import at_least_one, at_least_zero
from pantile.cli.output_arguments import output_file
from pantile.cli.report_comparison import PAGE, report_runs
from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    from pantile.data import PanopticDataset
    from pantile.predict import Predictor
    from pantile.visualize import Example, Inside
    from pantile.visualize.ranking import RankedClasses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="a run folder; of several, of one data set, the others are compared with the first",
    )
    add_weights_option(parser)
    parser.add_argument("--limit", type=at_least_one, help="evaluate the first N validation images only")
    parser.add_argument(
        "--images",
        type=at_least_zero,
        default=4,
        help="how many best images, worst images and most confused things to show; of several runs, how many images "
        "that changed most (default: 4)",
    )
    parser.add_argument(
        "--neighbours",
        type=at_least_zero,
        default=0,
        metavar="N",
        help="of one run: the N worst segments of the worst images, each beside the segments of the training split "
        "that are nearest to it in the network's features; also as a PNG beside the page (default: 0)",
    )
    parser.add_argument(
        "--segment",
        nargs="+",
        action="extend",
        default=[],
        metavar="IMAGE:ID",
        help="the same of these segments, by file name of a validation image and id in its map",
    )
    parser.add_argument("--out", type=output_file, help=f"the page (default: RUN/report.html; of several runs {PAGE})")


def run(args: argparse.Namespace) -> int:
    from pantile.cli.lean_imports import import_torchmetrics

    import_torchmetrics()
    options = (args.limit, args.images, args.out, args.weights)
    if len(args.runs) == 1:
        print(report_run(args.runs[0], *options, args.neighbours, args.segment))
        return 0
    if args.neighbours or args.segment:
        raise UserError("--neighbours and --segment are for the report of one run: name one, or leave them out.")
    print(report_runs(args.runs, *options))
    return 0


def report_run(
    run: Path,
    limit: int | None = None,
    images: int = 4,
    out: Path | None = None,
    weights: str | None = None,
    neighbours: int = 0,
    segments: Sequence[str] = (),
) -> Path:
    """Evaluates the run's weights on its validation split and writes the page.

    Args:
        weights: "best" (also None) or "last".
        neighbours: how many of the worst segments are shown beside their nearest ones of the training split.
        segments: ``IMAGE:ID`` of further ones.

    Returns:
        The page's path.
    """
    from pantile.cli.confused_things import confused_things
    from pantile.cli.segment_neighbours import named_segments, segment_neighbours, worst_segments
    from pantile.contracts.output_paths import check_file_target
    from pantile.data.bands import settle_reading
    from pantile.data.image_files import save_image
    from pantile.data.videos import has_videos, videos_of
    from pantile.engine.config import to_dict
    from pantile.engine.evaluate import evaluate, in_its_classes
    from pantile.engine.measures import check_segments, per_class
    from pantile.engine.run_cost import run_cost
    from pantile.engine.run_record import load_record
    from pantile.predict import predictor_of
    from pantile.predict.film_strips import film_strips
    from pantile.visualize.neighbours import neighbour_sheet
    from pantile.visualize.report import ReportData, write_report
    from pantile.visualize.run_log import read_run_log

    record = load_record(run)
    path = check_file_target(out or run / "report.html")
    sheet = check_file_target(path.with_name(f"{path.stem}_neighbours.png"))
    checkpoint = opened(run, weights, ours_only=True)
    training_set, validation_set = record.datasets()
    videos = videos_of(validation_set) if has_videos(validation_set) else ()
    validation_set = in_its_classes(checkpoint, validation_set)
    asked = named_segments(validation_set, segments)
    if neighbours or asked:
        check_segments(checkpoint.config, str(run))
        training_set = in_its_classes(checkpoint, training_set)
        settle_reading(training_set, checkpoint.config.images, checkpoint.config.model.in_channels)
    evaluation = evaluate(checkpoint, validation_set, limit)
    predictor = predictor_of(checkpoint)
    ranked = sorted(((quality, index) for index, quality in evaluation.per_image if quality == quality), reverse=True)
    best, worst = ranked[:images], ranked[::-1][: min(images, max(0, len(ranked) - images))]
    measure = evaluation.main_label
    if neighbours:
        asked += worst_segments(predictor, validation_set, [i for _, i in ranked[::-1][:neighbours]], neighbours)
    beside = segment_neighbours(predictor, training_set, validation_set, asked)
    is_thing = [c.is_thing for c in checkpoint.taxonomy.classes]
    data = ReportData(
        title=f"{checkpoint.config.recipe}: {run.name}",
        recipe=checkpoint.config.recipe,
        model=f"{checkpoint.config.model.architecture}, {checkpoint.config.model.backbone}",
        parameters=run_cost(checkpoint.config, is_thing, (65, 65)).parameters,
        weights=checkpoint.describe(),
        date=record.started,
        version=record.versions,
        command=record.command,
        seed=str(checkpoint.config.seed),
        hardware=record.hardware,
        dataset=f"{record.data} ({record.val_split}, {len(evaluation.per_image)} images)",
        results=evaluation.to_dict(),
        per_class=per_class(checkpoint.config),
        taxonomy=checkpoint.taxonomy,
        metrics=read_run_log(run),
        best=[_example(predictor, validation_set, index, quality, measure) for quality, index in best],
        worst=[_example(predictor, validation_set, index, quality, measure) for quality, index in worst],
        confused=confused_things(predictor, validation_set, evaluation.confused[:images]),
        inside=[_inside(predictor, validation_set, index) for _, index in best[:2]],
        ranked=[ranked for _, index in best[:2] if (ranked := _ranked(predictor, validation_set, index))],
        films=film_strips(predictor, validation_set, videos) if images else (),
        neighbours=beside,
        learned={
            f"{name}.{what}": values.numpy()
            for name, technique in predictor.task.techniques.items()
            for what, values in technique.learned().items()
        },
        config=_yaml(to_dict(checkpoint.config)),
    )
    if beside:
        save_image(neighbour_sheet(beside), sheet)
    write_report(path, data)
    return path


def _example(predictor: "Predictor", dataset: "PanopticDataset", index: int, quality: float, measure: str) -> "Example":
    from pantile.data.image_files import as_rgb
    from pantile.visualize.report import draw_example

    image, truth = dataset.load(index)
    prediction = predictor(image).panoptic
    return draw_example(dataset.name_of(index), as_rgb(image), dataset.taxonomy, truth, prediction, quality, measure)


def _inside(predictor: "Predictor", dataset: "PanopticDataset", index: int) -> "Inside":
    from pantile.data.image_files import as_rgb
    from pantile.visualize import draw_inside

    image = dataset.load_image(index)
    output, placement = predictor.outputs(image, layer_outputs=True)
    return draw_inside(output, dataset.name_of(index), as_rgb(image), placement, predictor.taxonomy)


def _ranked(predictor: "Predictor", dataset: "PanopticDataset", index: int) -> "RankedClasses | None":
    """None of a model that does not say which classes an image shows."""
    import numpy as np

    from pantile.visualize.ranking import RankedClasses

    image, truth = dataset.load(index)
    output, _ = predictor.outputs(image)
    logits, classes = (getattr(output, name, None) for name in ("presence_logits", "classes"))
    if logits is None:
        return None
    present = np.zeros(logits.shape[1], bool)
    present[[segment.class_index for segment in truth.segments]] = True
    selected = None if classes is None else int((classes[0] >= 0).sum())
    return RankedClasses(dataset.name_of(index), logits[0].float().cpu().numpy(), present, selected)


def _yaml(content: dict) -> str:
    import yaml

    return yaml.safe_dump(content, sort_keys=False)
