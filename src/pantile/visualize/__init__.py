"""Pictures for people: overlays with a legend, error maps, curves, cluster maps and the HTML report."""

from pantile.visualize.clusters import assignment_figure, choose_queries, cluster_figure
from pantile.visualize.colors import segment_colors
from pantile.visualize.confused import draw_confused
from pantile.visualize.curves import confusion_figure, curve_figures, ratio_histogram, read_metrics
from pantile.visualize.inside import Inside, draw_inside
from pantile.visualize.legend import error_legend, legend
from pantile.visualize.overlay import error_map, error_map_with_legend, overlay, overlay_with_legend
from pantile.visualize.panels import grid, side_by_side
from pantile.visualize.ranking import confidence_figure, missed_figure, temperature_figure
from pantile.visualize.report import ConfusedThing, Example, ReportData, draw_example, write_report
from pantile.visualize.report_panels import PANELS, fill, register_panel

__all__ = [
    "PANELS",
    "ConfusedThing",
    "Example",
    "Inside",
    "ReportData",
    "assignment_figure",
    "choose_queries",
    "cluster_figure",
    "confidence_figure",
    "confusion_figure",
    "curve_figures",
    "draw_confused",
    "draw_example",
    "draw_inside",
    "error_legend",
    "error_map",
    "error_map_with_legend",
    "fill",
    "grid",
    "legend",
    "missed_figure",
    "overlay",
    "overlay_with_legend",
    "ratio_histogram",
    "read_metrics",
    "register_panel",
    "segment_colors",
    "side_by_side",
    "temperature_figure",
    "write_report",
]
