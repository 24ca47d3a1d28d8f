"""A score of videos on the terminal: one part for each measure, the numbers that matter first."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from pantile.cli.tables import make_table
from pantile.contracts.percent import percent

if TYPE_CHECKING:
    from pantile.metrics.average_precision_result import AveragePrecisionResult
    from pantile.metrics.consistency_result import VideoConsistencyResult
    from pantile.metrics.semantic_result import SemanticQualityResult
    from pantile.metrics.stq_result import StqResult
    from pantile.metrics.vpq_result import VideoPanopticQualityResult
    from pantile.score.video import VideoScore

_WORST = 10  # videos; the JSON holds all


def print_video_score(score: "VideoScore", console: Console) -> None:
    """Prints every measure; fractions in percent."""
    coverage = score.coverage
    console.print(f"\n[bold]{score.title}[/bold]: {len(coverage.videos)} videos, {coverage.frames} frames")
    for names, total, what in (
        (coverage.missing_videos, len(coverage.videos), "videos"),
        (coverage.missing_frames, coverage.frames, "frames"),
    ):
        if names:
            console.print(f"[bold red]{len(names)} of {total} {what} have no prediction.")
    print_measures(score.results, console)


def print_measures(results: Mapping[str, Any], console: Console) -> None:
    """Each by its name in ``_PRINTERS``."""
    for name, result in results.items():
        _PRINTERS[name](result, console)


def _stq(result: "StqResult", console: Console) -> None:
    total = result.all
    console.print(
        f"\n[bold]STQ {percent(total.stq)}[/bold]  AQ {percent(total.aq)} of {total.tracks} tracks, "
        f"SQ {percent(total.sq)}"
    )
    table = make_table("video", "STQ", "AQ", "SQ", "tracks", title="Worst videos")
    ranked = sorted(result.per_video.items(), key=lambda item: (item[1].stq != item[1].stq, item[1].stq))
    for video, values in ranked[:_WORST]:
        table.add_row(escape(str(video)), *map(percent, (values.stq, values.aq, values.sq)), str(values.tracks))
    console.print(table)


def _vpq(result: "VideoPanopticQualityResult", console: Console) -> None:
    console.print(
        f"\n[bold]VPQ {percent(result.all.pq)}[/bold]  things {percent(result.things.pq)}, "
        f"stuff {percent(result.stuff.pq)}"
    )
    table = make_table("frames in a window", "VPQ", "things", "stuff", "SQ", "RQ")
    for length, quality in result.windows.items():
        values = (quality.all.pq, quality.things.pq, quality.stuff.pq, quality.all.sq, quality.all.rq)
        table.add_row(str(length), *map(percent, values))
    console.print(table)


def _miou(result: "SemanticQualityResult", console: Console) -> None:
    console.print(
        f"\n[bold]mIoU {percent(result.miou_labelled)}[/bold]  of labelled classes, {percent(result.miou)} with those "
        f"only predicted; pixel accuracy {percent(result.pixel_accuracy)}"
    )
    table = make_table("class", "IoU")
    occurring = [(name, iou) for name, iou in result.per_class.items() if iou == iou]
    for name, iou in sorted(occurring, key=lambda item: -item[1]):
        table.add_row(escape(name), percent(iou))
    console.print(table)


def _vc(result: "VideoConsistencyResult", console: Console) -> None:
    parts = (f"[bold]VC{n} {percent(vc)}[/bold] ({result.windows[n]} windows)" for n, vc in result.vc.items())
    console.print("\n" + "  ".join(parts))


def _ap(result: "AveragePrecisionResult", console: Console) -> None:
    console.print(
        f"\n[bold]AP {percent(result.ap)}[/bold]  AP50 {percent(result.ap50)}, AP75 {percent(result.ap75)}, "
        f"AR1 {percent(result.ar1)}, AR10 {percent(result.ar10)}"
    )
    table = make_table("tracks", "AP", "AR100")
    sizes = {"small (up to 128 x 128)": "small", "medium (up to 256 x 256)": "medium", "large": "large"}
    for words, size in sizes.items():
        table.add_row(words, *(percent(getattr(result, f"{of}_{size}")) for of in ("ap", "ar")))
    console.print(table)
    table = make_table("class", "AP")
    for name, ap in sorted(result.per_class.items(), key=lambda item: (item[1] != item[1], -item[1])):
        table.add_row(escape(name), percent(ap))
    console.print(table)


_PRINTERS: dict[str, Callable] = {"stq": _stq, "vpq": _vpq, "miou": _miou, "vc": _vc, "ap": _ap}
