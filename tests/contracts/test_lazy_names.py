"""Names of a room that load on first use."""

import sys

import pytest

from pantile.contracts.lazy_names import lazy_names


@pytest.fixture
def room(tmp_path, monkeypatch) -> str:
    folder = tmp_path / "lazy_room"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from pantile.contracts.lazy_names import lazy_names\n"
        '__getattr__, __dir__, __all__ = lazy_names(__name__, {"shapes": ("circle", "Square")})\n'
    )
    (folder / "shapes.py").write_text("circle, Square, hidden = 1, 2, 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazy_room"
    for name in [name for name in sys.modules if name.startswith("lazy_room")]:
        del sys.modules[name]


def test_a_module_is_imported_when_one_of_its_names_is_used(room):
    module = __import__(room)
    assert dir(module) == module.__all__ == ["Square", "circle"]
    assert f"{room}.shapes" not in sys.modules
    assert module.circle == 1
    from lazy_room import Square

    assert Square == 2


def test_other_names_are_not_there(room):
    with pytest.raises(AttributeError, match="module 'lazy_room' has no attribute 'hidden'"):
        __import__(room).hidden  # noqa: B018


def test_a_name_that_is_a_module_as_well_is_refused():
    with pytest.raises(ValueError, match="room: overlay cannot be loaded late"):
        lazy_names("room", {"overlay": ("overlay", "error_map")})
