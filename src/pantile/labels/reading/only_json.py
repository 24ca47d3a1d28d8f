"""The JSON of a tool that writes one for all images: named itself, or alone in its folder."""

from pathlib import Path

from pantile.contracts.errors import UserError

BESIDE = ("classes.json", "convert_report.json")  # what a conversion writes beside an export


def only_json(src: Path, tool: str) -> Path:
    """
    Args:
        src: the file, or a folder with this one JSON.
        tool: for messages.

    Raises:
        UserError: the folder has none, or several.
    """
    if src.is_file():
        return src
    found = sorted(path for path in src.glob("*.json") if not path.name.startswith(".") and path.name not in BESIDE)
    if len(found) != 1:
        raise UserError(f"{src} has {len(found)} JSON files, not one: name the export of {tool} itself as SRC.")
    return found[0]
