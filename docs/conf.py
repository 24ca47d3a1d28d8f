"""The site: ``make docs`` builds the pages of this folder, the README and all public names into build/site."""

import ast
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PUBLIC = ROOT / "src" / "pantile" / "__init__.pyi"
#: by the room that a name comes from
TITLES = {
    "cli": "The verbs as functions",
    "predict": "Predicting",
    "recipes": "Recipes",
    "models": "Models",
    "model_check": "Models",
    "techniques": "Techniques",
    "losses": "Losses",
    "merge": "From outputs to segments",
    "metrics": "Metrics",
    "data": "Data",
    "contracts": "What travels between them",
}

project = "Pantile"
html_title = "Pantile"
html_theme = "furo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["pictures"]
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
myst_heading_anchors = 3
add_module_names = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_use_rtype = False
maximum_signature_line_length = 80

OUTSIDE = re.compile(r"\]\((?:\.\./)?((?:examples|findings|benchmarks|tests|src|weights)\b[^)]*)\)")


def public_names(stub: str) -> str:
    """In Markdown, a directive of autodoc for each name that ``import pantile`` gives.

    Raises:
        KeyError: a name comes from a room without a title.
    """
    rooms: dict[str, list[str]] = {title: [] for title in TITLES.values()}
    for statement in ast.parse(stub).body:
        if isinstance(statement, ast.ImportFrom):
            room = statement.module.split(".")[1]
            rooms[TITLES[room]] += [f"{statement.module}.{alias.name}" for alias in statement.names]
    page = ""
    for title, names in rooms.items():
        page += f"\n## {title}\n" + "".join(_directive(name) for name in names)
    return page


def _directive(name: str) -> str:
    short = name.rpartition(".")[2]
    kind = "autoclass" if short[0].isupper() else "autofunction"
    members = "   :members:\n" if kind == "autoclass" and not short.endswith("Config") else ""
    return f"\n### {short}\n\n```{{eval-rst}}\n.. {kind}:: {name}\n{members}```\n"


def read(app: Sphinx, name: str, content: list[str]) -> None:
    if name == "api":
        content[0] += public_names(PUBLIC.read_text())
    # what lies in the repository but not on the site is named, not linked
    content[0] = OUTSIDE.sub(r"] (`\1`)", content[0]).replace("](../README.md", "](index.md")


def read_included(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    content[0] = OUTSIDE.sub(r"] (`\1`)", content[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", read)
    app.connect("include-read", read_included)
