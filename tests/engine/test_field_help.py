"""Fields of a run with type, default and meaning, read from their classes; the page of the docs is up to date."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pantile.cli.main import main
from pantile.engine.config import field_names
from pantile.engine.field_help import _written, described_fields, fields_page
from pantile.recipes import make_recipe

PAGE = Path(__file__).parents[2] / "docs" / "fields.md"


@dataclass
class Base:
    """Something.

    Attributes:
        width, height: of a thing,
            in pixels.
    """

    width: int = 3
    height: int = 4


@dataclass
class Derived(Base):
    height: float | None = None
    # how many
    # there are
    count: int = 2  # at least 1
    plain: str = "a # b"


def test_a_class_is_read_as_it_is_written():
    assert _written(Derived) == {
        "width": ("int", "3", "of a thing, in pixels."),
        "height": ("float | None", "None", "of a thing, in pixels."),
        "count": ("int", "2", "how many there are at least 1"),
        "plain": ("str", "'a # b'", ""),
    }


def test_every_field_has_a_meaning_and_groups_are_left_out():
    fields = described_fields()
    assert not [field.name for field in fields if not field.meaning or not field.kind]
    names = [field.name for field in fields]
    assert len(set(names)) == len(names) and set(names) <= set(field_names())
    missing = set(field_names()) - set(names)
    assert all(any(name.startswith(f"{group}.") for name in names) for group in missing)
    (steps,) = [field for field in fields if field.name == "training.steps"]
    assert (steps.kind, steps.default, steps.meaning) == ("int, at least 1", "150000", "optimizer steps")


def test_of_a_recipe_its_values_and_kinds_alone():
    fields = {field.name: field for field in described_fields(make_recipe("panoptic_deeplab_nano"))}
    assert "model.num_queries" not in fields and fields["training.average.decay"].default == "off"
    assert fields["training.steps"].default == str(make_recipe("panoptic_deeplab_nano").training.steps)


def test_the_page_is_what_the_command_writes():
    """``pantile models fields --markdown > docs/fields.md`` writes it."""
    assert PAGE.read_text() == fields_page(described_fields())


def test_the_command_looks_for_words(capsys):
    assert main(["models", "fields", "PATIENCE"]) == 0
    assert capsys.readouterr().out.startswith(
        "training.patience = None   int, at least 1 | None\n    validations in a row"
    )
    assert main(["models", "fields", "--of", "remax_nano", "training.steps"]) == 0
    assert capsys.readouterr().out.startswith(f"training.steps = {make_recipe('remax_nano').training.steps}   int")
    assert main(["models", "fields", "nothing like that"]) == 2
    assert "No field has nothing like that" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["models", "fields", "--off"])
