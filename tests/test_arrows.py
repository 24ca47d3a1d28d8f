"""Imports between rooms point down only, and some rooms stay free of what they must not know."""

import ast
from pathlib import Path

import pytest

import pantile

ROOT = Path(pantile.__file__).parent
SHARED = {"contracts"}
MAY_IMPORT = {
    "contracts": set(),
    "layers": SHARED,
    "backbones": SHARED | {"layers"},
    "models": SHARED | {"layers", "backbones"},
    "losses": SHARED,
    "merge": SHARED,
    "metrics": SHARED,
    "data": SHARED,
    "labels": SHARED | {"data"},
    "visualize": SHARED,
    "techniques": SHARED | {"layers", "losses"},
    "convert": SHARED | {"backbones", "data", "engine", "inference", "layers", "models", "recipes"},
    "inference": SHARED | {"data", "merge"},
    "runtime": SHARED | {"data", "inference", "merge"},
    "export": SHARED | {"data", "engine", "inference", "merge", "runtime", "techniques"},
    "engine": SHARED | {"inference", "layers", "models", "techniques", "losses", "merge", "metrics", "data"},
    "recipes": SHARED | {"engine", "models", "techniques", "losses", "merge", "inference", "data"},
    "predict": SHARED | {"convert", "data", "engine", "export", "inference", "merge", "runtime", "visualize"},
    "serve": SHARED | {"data", "merge", "predict", "visualize"},
    "score": SHARED | {"data", "metrics"},
    "cli": SHARED
    | {"convert", "data", "engine", "export", "inference", "labels", "metrics", "runtime"}
    | {"models", "predict", "recipes", "score", "serve", "visualize"},
    "model_check": SHARED | {"cli", "data", "engine", "losses", "merge", "models", "predict", "recipes", "techniques"},
}

#: rooms within labels, and which of each other they know; what stands on its floor is for all
LABEL_ROOMS = {
    "photos": set(),
    "reading": {"photos"},
    "writing": set(),
    "formats": {"reading", "writing", "photos"},
    "checks": {"reading", "photos"},
    "splitting": {"formats", "reading", "photos"},
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


FILES = sorted(ROOT.rglob("*.py"))


def test_every_room_is_known():
    rooms = {path.relative_to(ROOT).parts[0] for path in FILES if path.parent != ROOT}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("path", [p for p in FILES if p.parent != ROOT], ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_down(path):
    room = path.relative_to(ROOT).parts[0]
    imported = {m.split(".")[1] for m in imports_of(path) if m.startswith("pantile.")}
    rooms = {name for name in imported if name in MAY_IMPORT} - {room}
    assert rooms <= MAY_IMPORT[room], f"{path} imports {rooms - MAY_IMPORT[room]}"


@pytest.mark.parametrize("room", LABEL_ROOMS)
def test_arrows_between_rooms_of_labels_point_down(room):
    for path in (ROOT / "labels" / room).glob("*.py"):
        imported = {m.split(".")[2] for m in imports_of(path) if m.startswith("pantile.labels.")} & LABEL_ROOMS.keys()
        assert imported - {room} <= LABEL_ROOMS[room], f"{path} imports {imported - {room} - LABEL_ROOMS[room]}"


def test_every_room_of_labels_is_known():
    assert {path.parent.name for path in (ROOT / "labels").glob("*/__init__.py")} == LABEL_ROOMS.keys()


@pytest.mark.parametrize("room", ["merge", "metrics"])
def test_pure_rooms_import_no_modules(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not any(
            (m.startswith("torch.nn") and "functional" not in m) or m == "torch.nn" for m in imports_of(path)
        )


def test_inference_needs_no_lightning():
    for path in (ROOT / "inference").rglob("*.py"):
        assert not any(m.split(".")[0] == "lightning" for m in imports_of(path)), path


def test_models_do_not_know_techniques_and_techniques_do_not_know_models():
    for path in (ROOT / "models").rglob("*.py"):
        code = _without_docstrings(path).lower()  # which may cite what somebody else calls so
        assert not any(word in code for word in ("remask", "reclass", "intrabatch", "rankseg")), path
    for path in (ROOT / "techniques").rglob("*.py"):
        code = "\n".join(ast.unparse(node) for node in ast.parse(path.read_text()).body)
        assert "pantile.models" not in code, path


def _without_docstrings(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = [*node.body[1:], ast.Pass()]
    return ast.unparse(tree)
