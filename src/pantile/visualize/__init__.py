"""Pictures for people: overlays with a legend, error maps, curves, cluster maps and the HTML report."""

from pantile.contracts.lazy_names import lazy_names
from pantile.visualize.legend import legend
from pantile.visualize.overlay import overlay

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "clusters": ("assignment_figure", "choose_queries", "cluster_figure"),
        "colors": ("segment_colors",),
        "confused": ("draw_confused",),
        "curves": ("confusion_figure", "curve_figures", "ratio_histogram", "read_metrics"),
        "inside": ("Inside", "draw_inside"),
        "legend": ("error_legend",),
        "overlay": ("error_map", "error_map_with_legend", "overlay_with_legend"),
        "panels": ("grid", "side_by_side"),
        "ranking": ("confidence_figure", "missed_figure", "temperature_figure"),
        "report": ("ConfusedThing", "Example", "ReportData", "draw_example", "write_report"),
        "report_panels": ("PANELS", "fill", "register_panel"),
    },
)
__all__ += ["legend", "overlay"]
