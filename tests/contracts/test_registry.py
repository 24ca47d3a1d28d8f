"""Parts by name: the package's own, those of other packages, and what becomes of packages that are broken."""

import importlib
import pkgutil
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from pantile.contracts import plugins
from pantile.contracts import registry as registries
from pantile.contracts.errors import UserError
from pantile.contracts.registry import Registry

OWN = """
from lookup import KNOWN
KNOWN["own"].register("cat")("a cat")
"""

Install = Callable[..., None]


@pytest.fixture
def known(tmp_path, monkeypatch) -> dict[str, Registry]:
    """Two registries with a room each (``own`` has a part, ``other`` none), and no other ones in this process."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registries, "_ALL", [])
    monkeypatch.setattr(plugins, "_ORIGINS", {})
    monkeypatch.setattr(plugins, "_PACKAGES", {})
    monkeypatch.setattr(plugins, "_loaded", False)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    made = {"own": Registry("pet", "own_room", "the list has them."), "other": Registry("house", "other_room")}
    monkeypatch.setitem(sys.modules, "lookup", SimpleNamespace(KNOWN=made))
    for room, content in (("own_room", OWN), ("other_room", "")):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
        (tmp_path / room / "parts.py").write_text(content)
    # what these rooms register is the package's own
    monkeypatch.setattr(registries, "_package", lambda module: "pantile" if "_room" in module else _first(module))
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _first(module: str) -> str:
    return module.partition(".")[0]


@pytest.fixture
def install(known, tmp_path, monkeypatch) -> Install:
    """Writes modules and says that packages have them as plugins."""
    found: list = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: found if group == plugins.GROUP else [])

    def add(module: str, content: str, version: str = "1.0") -> None:
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"from lookup import KNOWN\n{content}\n")
        entry = EntryPoint(name=module, value=module, group=plugins.GROUP)
        vars(entry)["dist"] = SimpleNamespace(name=f"{module}-package", version=version)
        found.append(entry)
        importlib.invalidate_caches()

    return add


def test_a_room_is_read_when_somebody_looks(known):
    assert "own_room" not in sys.modules
    assert dict(known["own"]) == {"cat": "a cat"}
    assert not known["own"].foreign() and not len(known["other"])


def test_a_plugin_adds_parts_and_is_named_by_what_needs_them(known, install):
    install("kennel", 'KNOWN["own"].register("dog")("a dog"); KNOWN["other"].register_all({"kennel": 1, "hut": 2})')
    own, other = known.values()
    assert sorted(own) == ["cat", "dog"] and sorted(other) == ["hut", "kennel"]
    assert plugins.required([(own, "cat"), (own, "dog"), (other, "hut")]) == {
        "kennel-package 1.0": "pet 'dog', house 'hut'"
    }


def test_a_plugin_that_a_script_imports_itself_is_named_too(known, install):
    install("kennel.parts", 'KNOWN["own"].register("dog")("a dog")')
    importlib.import_module("kennel.parts")
    own = known["own"]
    assert own.find("dog") == "a dog"
    assert plugins.required([(own, "dog")]) == {"kennel.parts-package 1.0": "pet 'dog'"}


def test_parts_of_no_package_are_of_no_plugin(known, install):
    install("kennel", "")
    own = known["own"]
    own.register("tortoise")("of this file")
    assert own.find("tortoise") == "of this file" and plugins.required([(own, "tortoise")]) == {}


@pytest.mark.parametrize("error", ["raise OSError('no\\n disk')", "import nowhere", "syntax error", "1 / 0"])
def test_a_broken_plugin_is_named_and_left_out_whole(known, install, error):
    install("broken", f'KNOWN["own"].register("dog")("half"); KNOWN["other"].register("hut")("half")\n{error}')
    install("sound", 'KNOWN["own"].register("cow")("a cow")')
    with pytest.warns(UserWarning, match=r"^the plugin 'broken' of broken-package 1.0 is left out \(.*\)\.$") as told:
        assert sorted(known["own"]) == ["cat", "cow"]
    assert len(told) == 1 and "\n" not in str(told[0].message)
    assert list(known["other"]) == []


def test_what_a_broken_plugin_had_registered_can_be_registered_by_a_sound_one(known, install):
    install("barn.all", "import barn.cow\nimport nowhere")
    install("barn.cow", 'KNOWN["own"].register("cow")("a cow")')
    with pytest.warns(UserWarning, match="'barn.all'"):
        assert known["own"].find("cow") == "a cow"
    assert plugins.required([(known["own"], "cow")]) == {"barn.cow-package 1.0": "pet 'cow'"}


@pytest.mark.parametrize("first_read", ["own", "other"])
def test_a_plugin_never_takes_the_name_of_a_built_in_part(known, install, first_read):
    """Also where it is imported before the module of that part."""
    install("thief", 'KNOWN["own"].register("cat")("another cat")')
    with pytest.warns(UserWarning, match=r"pet 'cat' of thief has the name of one in own_room\.parts: give it another"):
        list(known[first_read])
    assert known["own"].find("cat") == "a cat"


def test_a_second_part_of_a_name_is_refused(known):
    own = known["own"]
    own.register("dog")("a dog")
    with pytest.raises(UserError, match=f"The pet 'dog' of {__name__} has the name of one in {__name__}"):
        own.register("dog")("another")
    with pytest.raises(UserError, match=r"has the name of one in own_room\.parts"):
        own.register_all({"cat": "another"})
    assert dict(own) == {"cat": "a cat", "dog": "a dog"}


def test_what_is_not_there_is_told_with_the_nearest_name(known):
    own, other = known.values()
    other.register_all({"hut": 1, "barn": 2})
    for registry, name, field, message in (
        (own, "caat", "", "There is no pet 'caat'; did you mean 'cat'?"),
        (own, "elephant", "zoo.pet", "zoo.pet: there is no pet 'elephant'; the list has them."),
        (other, "palace", "", "There is no house 'palace'; choose one of barn, hut."),
        (own, None, "zoo.pet", "zoo.pet: there is no pet None; the list has them."),
    ):
        with pytest.raises(UserError) as error:
            registry.find(name, field)
        assert str(error.value) == message


def test_missing_packages_are_named_with_their_parts(install):
    install("kennel", "")
    plugins.check_installed({"kennel-package 7.2": "pet 'dog'"}, "run/weights.safetensors")  # whatever its version
    with pytest.raises(UserError) as error:
        plugins.check_installed({"kennel-package 1.0": "pet 'dog'", "zoo 2": "pet 'ape'"}, "run/weights.safetensors")
    assert str(error.value) == (
        "run/weights.safetensors needs parts of packages that are not installed: zoo 2 (pet 'ape'). Install them first."
    )


def test_modules_that_do_not_register_are_not_imported(known, tmp_path):
    (tmp_path / "own_room" / "heavy.py").write_text("raise ImportError('register(1)')")
    (tmp_path / "own_room" / "decorated.py").write_text(
        "from lookup import KNOWN\n"
        "def register_pet(name):\n    KNOWN['own'].register_all({name: 1})\n\n"
        "register_pet('dog')\n"
    )
    assert list(known["own"]) == ["dog", "cat"]


def test_a_room_that_was_left_half_read_is_read_again(known, tmp_path):
    broken = tmp_path / "own_room" / "broken.py"
    broken.write_text("from lookup import KNOWN\nraise KeyboardInterrupt\nKNOWN['own'].register('dog')(1)\n")
    with pytest.raises(KeyboardInterrupt):
        list(known["own"])
    broken.write_text("from lookup import KNOWN\nKNOWN['own'].register('dog')('a dog')\n")
    importlib.invalidate_caches()
    assert dict(known["own"]) == {"dog": "a dog", "cat": "a cat"}


def test_every_part_of_this_package_is_in_a_module_that_is_imported():
    """Also of modules that registries leave alone, none registers a part."""
    rooms = {registry._room for registry in registries._ALL}
    for room in map(importlib.import_module, rooms):
        for module in pkgutil.iter_modules(room.__path__):
            importlib.import_module(f"{room.__name__}.{module.name}")
    homes = {home for registry in registries._ALL for home in registry._homes.values() if home.startswith("pantile.")}
    assert len(homes) > 30
    assert [home for home in sorted(homes) if not registries._may_register(home)] == []
