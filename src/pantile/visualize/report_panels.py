"""PANELS: the sections of a run's report. A panel registers itself where it is written::

@register_panel("my-panel", "What it is about")
def my_panel(data: ReportData) -> str:
    return fill("<p>{{ share | percent }} % of ...</p>", share=data.results["my_group"]["share"])
"""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from pantile.contracts.percent import percent
from pantile.contracts.registry import Registry, calling_module

if TYPE_CHECKING:
    from pantile.visualize.report import ReportData

Draw = TypeVar("Draw", bound="Callable[[ReportData], str]")

LONGEST_SIDE = 800  # pixels of a picture inside the report
BEFORE_THE_CONFIG = 80


@dataclass(frozen=True)
class Panel:
    """
    Attributes:
        title: its heading.
        draw: all that the report knows to the HTML below the heading; "" where there is nothing to show, and then the
            panel is left out. What ``fill`` gives is escaped.
        place: panels stand in this order, then in that of their names.
    """

    title: str
    draw: "Callable[[ReportData], str]"
    place: int


#: the names are the ids of the sections
PANELS: Registry[Panel] = Registry("report panel", "pantile.visualize")


def register_panel(name: str, title: str, place: int = BEFORE_THE_CONFIG) -> Callable[[Draw], Draw]:
    """A decorator of ``draw``; see ``Panel``."""
    home = calling_module()

    def add(draw: Draw) -> Draw:
        PANELS.register(name, home)(Panel(title, draw, place))
        return draw

    return add


def draw_panels(data: "ReportData") -> list[tuple[str, str, Markup]]:
    """Name, title and HTML of the panels that have something to show."""
    ordered = sorted(PANELS.items(), key=lambda item: (item[1].place, item[0]))
    drawn = [(name, panel.title, Markup(panel.draw(data))) for name, panel in ordered]
    return [panel for panel in drawn if panel[2]]


def fill(template: str, **values: Any) -> str:
    """A Jinja template with its values, which are escaped.

    Args:
        template: its text, which may use the filters ``percent`` (of fractions, "–" for None), ``picture`` and
            ``figure`` (of (H, W, 3) uint8, and of bytes of a PNG or SVG file, to a data URI), and ``rgb``.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=dashed_percent, picture=_picture, figure=_figure, rgb=_rgb)
    return environment.from_string(template).render(**values)


def fill_file(name: str, **values: Any) -> str:
    """As ``fill``, with ``templates/<name>.html.j2``."""
    source = resources.files("pantile.visualize").joinpath("templates", f"{name}.html.j2").read_text("utf-8")
    return fill(source, **values)


def dashed_percent(value: float | None) -> str:
    return percent(value, none="–")


def _rgb(color: tuple[int, int, int]) -> str:
    return "rgb({}, {}, {})".format(*color)


def _picture(pixels: np.ndarray, limit: int = LONGEST_SIDE) -> str:
    """A JPEG of at most ``limit`` pixels on its longer side, as a data URI."""
    photo = Image.fromarray(pixels)
    photo.thumbnail((limit, limit), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=87)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _figure(content: bytes) -> str:
    """A PNG or SVG file as a data URI."""
    kind = "png" if content.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()
