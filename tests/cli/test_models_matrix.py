"""The printed table against what really happens when each technique is built for a model of each architecture."""

import pytest

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.pairs import default_techniques
from pantile.models import (
    ARCHITECTURES,
    create_model,
    kmax_nano_config,
    mask2former_nano_config,
    maskformer_nano_config,
    panoptic_deeplab_nano_config,
    panoptic_fcn_nano_config,
)
from pantile.techniques import IntraBatchConfig, ReClassConfig, ReMaskConfig, TechniquesConfig, build_techniques

MODELS = {
    config.architecture: config
    for config in (
        kmax_nano_config(),
        mask2former_nano_config(),
        maskformer_nano_config(),
        panoptic_deeplab_nano_config(),
        panoptic_fcn_nano_config(),
    )
}
TAXONOMY = plain_taxonomy([f"class {i}" for i in range(5)], things=["class 0"])
TECHNIQUES = {
    "remask": ReMaskConfig(stages=1, channels=16),
    "reclass": ReClassConfig(),
    "intra_batch": IntraBatchConfig(),
}


def printed_table(capsys) -> dict[tuple[str, str], str]:
    """{(architecture, technique): cell}"""
    assert main(["models", "matrix"]) == 0
    head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    return {(row[0], name): cell for row in rows for name, cell in zip(head, row[1:], strict=True)}


def can_be_built(model, name: str) -> bool:
    try:
        build_techniques(TechniquesConfig(**{name: TECHNIQUES[name]}), model, TAXONOMY)
    except UserError:
        return False
    return True


def test_the_table_says_what_building_each_pair_does(capsys):
    assert set(MODELS) == set(ARCHITECTURES)
    assert set(TECHNIQUES) == set(vars(TechniquesConfig()))
    models = {name: create_model(config, 3, [True, True, False]) for name, config in MODELS.items()}
    expected = {(a, t): "yes" if can_be_built(model, t) else "-" for a, model in models.items() for t in TECHNIQUES}
    assert printed_table(capsys) == expected
    assert set(expected.values()) == {"yes", "-"}


@pytest.mark.parametrize("name", TECHNIQUES)
def test_the_defaults_of_a_technique_switch_it_on(name):
    assert default_techniques()[name].name == name
