"""The printed table against what a run of each pair does."""

import pytest

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.task import PanopticTask
from pantile.models import ARCHITECTURES
from pantile.recipes import make_recipe
from pantile.techniques import TECHNIQUES, TechniquesConfig

TAXONOMY = plain_taxonomy([f"class {i}" for i in range(5)], things=["class 0"])


@pytest.fixture(scope="module")
def printed() -> tuple[dict[tuple[str, str], str], list[str]]:
    """{(architecture, technique): cell}, and the lines below the table."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main(["models", "matrix"]) == 0
    head, *rows = text.getvalue().splitlines()
    table, notes = rows[: len(ARCHITECTURES)], rows[len(ARCHITECTURES) :]
    cells = {}
    for architecture, *row in (line.split() for line in table):
        cells |= {(architecture, name): cell for name, cell in zip(head.split(), row, strict=True)}
    return cells, notes


def test_every_pair_is_told(printed):
    assert set(printed[0]) == {(a, t) for a in ARCHITECTURES for t in TECHNIQUES}
    assert set(printed[0].values()) == {"yes", "set", "-"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_yes_is_where_the_defaults_can_be_switched_on(printed, architecture):
    """On the nano model of the architecture, with as many layers as its recipe has."""
    cells, notes = printed
    for name, config_class in TECHNIQUES.items():
        config = make_recipe(f"{architecture}_nano")
        config.techniques = TechniquesConfig(**{name: config_class()})
        try:
            assert PanopticTask(config, TAXONOMY).techniques
            refusal = None
        except UserError as error:
            refusal = str(error)
        cell = cells[architecture, name]
        if cell == "-":
            assert "does not give" in refusal
        if cell == "yes" and refusal:
            assert "layer outputs" in refusal  # the nano model has fewer than the published ones
        assert any(note.startswith(f"{name} with {architecture}: ") for note in notes) == (cell == "set")


def test_four_stages_of_remask_are_no_yes_for_a_model_without_layers(printed):
    assert printed[0]["panoptic_fcn", "remask"] == "set"
    assert any("remask.stages is 4, but the model has 0 layer outputs" in note for note in printed[1])


@pytest.mark.parametrize("name", TECHNIQUES)
def test_the_defaults_of_a_technique_switch_it_on(name):
    assert TECHNIQUES[name]().make() is not None
