"""What a new part costs inside the repository: the example's parts, each in its room, in a copy that else is untouched.

Beside the new files, no file of the copy changes, and tests that were written before see the new parts.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pantile
from test_arrows import MAY_IMPORT, imports_of

REPOSITORY = Path(__file__).parents[1]
EXAMPLE = REPOSITORY / "examples" / "pantile_example" / "src" / "pantile_example"

#: part -> the files that it takes, and their rooms
PARTS = {
    "technique": {"label_smoothing.py": "techniques"},
    "model": {"tiny_queries.py": "models", "tiny_queries_recipe.py": "recipes"},
    "format": {"color_masks.py": "data"},
}
PLACES = {name: room for files in PARTS.values() for name, room in files.items()}

#: tests that are there already, and what they must have found in the copy
OLD_TESTS = {
    "tests/cli/test_models_matrix.py": {
        "test_every_pair_is_told",
        "test_yes_is_where_the_defaults_can_be_switched_on[tiny_queries]",
        "test_the_defaults_of_a_technique_switch_it_on[label_smoothing]",
    },
    "tests/techniques/test_pairs.py": {
        "test_a_step_is_finite_and_reaches_every_head[tiny_queries_nano-all]",
        "test_weight_zero_equals_absence_to_the_last_bit[tiny_queries_nano-label_smoothing]",
    },
}

NEW_TEST = """
import pantile
from pantile.data import LAYOUTS
from pantile.data.layouts import layout_of
from pantile.labels import readers
from pantile.models import ARCHITECTURES
from pantile.recipes import list_recipes
from pantile.techniques import TECHNIQUES


def test_the_parts_are_there(tmp_path):
    assert "tiny_queries" in ARCHITECTURES and "label_smoothing" in TECHNIQUES  # the matrix shows all of both
    assert "tiny_queries_nano" in list_recipes()
    assert "color-masks" in readers()
    (tmp_path / "colors.txt").touch()
    assert layout_of(tmp_path) == "color-masks"
    for registry in (ARCHITECTURES, TECHNIQUES, LAYOUTS):
        assert not registry.foreign()
    assert pantile.__file__ == {home!r}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The package with the parts in it."""
    source = Path(pantile.__file__).parent
    target = tmp_path_factory.mktemp("copy") / "pantile"
    shutil.copytree(source, target)  # with its compiled files, which keep the time of their sources
    for name, room in PLACES.items():
        assert not (target / room / name).exists()
        shutil.copy(EXAMPLE / name, target / room / name)
    return target


def test_the_example_has_no_other_file_for_these_parts():
    assert {path.name for path in EXAMPLE.glob("*.py")} == PLACES.keys() | {"__init__.py", "counting.py"}
    assert max(map(len, PARTS.values())) == len(PARTS["model"]) == 2


@pytest.mark.parametrize("name", PLACES)
def test_arrows_point_down_from_the_new_files(copy, name):
    path = copy / PLACES[name] / name
    rooms = {module.split(".")[1] for module in imports_of(path) if module.startswith("pantile.")} & MAY_IMPORT.keys()
    assert rooms <= MAY_IMPORT[PLACES[name]] | {PLACES[name]}


def test_old_tests_see_the_new_parts(copy):
    """In one process, which imports the copy."""
    new_test = copy.parent / "test_new_parts.py"
    new_test.write_text(NEW_TEST.format(home=str(copy / "__init__.py")))
    expected = {f"{path}::{test}" for path, tests in OLD_TESTS.items() for test in tests}
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no"]
    done = subprocess.run(
        [*command, "--rootdir", REPOSITORY, *sorted(expected), new_test],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(copy.parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0 and f"{len(expected) + 1} passed" in done.stdout, done.stdout
