"""The panel of runs on videos: film strips of image, truth and tracked prediction."""

from pantile.visualize.report import ReportData
from pantile.visualize.report_panels import fill, register_panel

_TEMPLATE = """<p class="note">A segment keeps its colour as long as it keeps its id.</p>
{% for name, strip in films %}
<h3>{{ name }}</h3>
<figure class="panel"><img src="{{ strip | picture(1600) }}" alt="{{ name }}"></figure>
{% endfor %}
"""


@register_panel("films", "Videos", place=42)
def _films(data: ReportData) -> str:
    return fill(_TEMPLATE, films=data.films) if data.films else ""
