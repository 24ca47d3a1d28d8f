"""A benchmark whose claim does not hold must not end as if it did."""

import importlib.util
from pathlib import Path

import pytest

CLAIMS = Path(__file__).parents[1] / "benchmarks" / "claims.py"


@pytest.fixture
def claims():
    spec = importlib.util.spec_from_file_location("claims", CLAIMS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Claims()


def test_claims_that_hold_end_quietly(claims, capsys):
    claims.at_most("time", 0.5, 0.5)
    claims.at_least("rate", 2.0, 1.4)
    claims.finish()
    assert "MISSED" not in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "figure"), [("at_most", 0.6), ("at_most", float("nan")), ("at_least", 0.4)])
def test_a_missed_claim_ends_the_script_with_status_1(claims, capsys, kind, figure):
    getattr(claims, kind)("time", figure, 0.5)
    with pytest.raises(SystemExit) as stop:
        claims.finish()
    assert stop.value.code == 1
    assert "missed: time" in capsys.readouterr().err
