"""Values in messages: as repr writes them where they are short, and no work for what is not shown."""

import math
from datetime import date

import pytest
import yaml

from pantile.contracts.shortening import short


@pytest.mark.parametrize(
    "value",
    [0, -3, True, None, 1.5, math.inf, "a b", "it's", "ä", [], {}, [1, "a"], {"a": [None, {}]}, date(2026, 1, 2)],
)
def test_short_values_are_as_they_are(value):
    assert short(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    ["x" * 500, "\n" * 500, "\ud800" * 200, 10**9000, [[[[[[1]]]]]], list(range(99)), {k: k for k in range(99)}],
    ids=["text", "lines", "halves", "digits", "nested", "list", "object"],
)
def test_long_values_fit(value):
    text = short(value, 60)
    assert len(text) <= 60 and text.isprintable() and text.encode()


class Counted(list):
    """A list that counts how often it is looked into."""

    visits = 0

    def __iter__(self):
        Counted.visits += 1
        return super().__iter__()


def test_work_does_not_grow_with_what_is_nested():
    """Eight times the same list a level: 8, 64, 512, 4096 ... values for repr."""
    visits = []
    for levels in (3, 5, 7):
        Counted.visits, value = 0, Counted(range(8))
        for _ in range(levels):
            value = Counted([value] * 8)
        assert len(short(value)) <= 80
        visits.append(Counted.visits)
    assert visits[1] == visits[2] <= 4**4 + 4**3 + 4**2 + 4 + 1


def nested(levels: int) -> str:
    """YAML whose aliases nest; eight times as many values with every level."""
    rows = ["a0: &a0 [x]"] + [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 8)}]" for k in range(1, levels + 1)]
    return "\n".join(rows)


def test_readers_of_yaml_do_not_write_it_out(tmp_path, monkeypatch):
    """Every reader that repeats a value in its message hands it to the one function."""
    from pantile.contracts.errors import UserError
    from pantile.contracts.json_fields import Fields
    from pantile.data.description import read_description
    from pantile.engine.config import load_yaml, to_dict
    from pantile.recipes import make_recipe

    top = yaml.safe_load(nested(4))["a4"]
    path = tmp_path / "dataset.yaml"
    path.write_text(nested(4) + "\nclasses: *a4\n")
    with pytest.raises(UserError) as error:
        read_description(path)
    assert len(str(error.value)) < 400
    path.write_text(f"classes:\n- {{name: a, thing: true}}\nmean:\n- {'[' * 9}{']' * 9}\n")
    with pytest.raises(UserError, match=r"\[\[\[") as error:
        read_description(path)
    assert len(str(error.value)) < 400
    config = tmp_path / "config.yaml"
    data = to_dict(make_recipe("remax_nano")) | {"seed": top}
    config.write_text(yaml.safe_dump(data))
    with pytest.raises(UserError, match="seed") as error:
        load_yaml(config)
    assert len(str(error.value)) < 400
    for change in ({"model": {"architecture": top}}, {"merge": {"kind": "x" * 5000}}, {"y" * 5000: 1}, {7: 1}):
        config.write_text(yaml.safe_dump(to_dict(make_recipe("remax_nano")) | change))
        with pytest.raises(UserError, match=r"model.architecture|merge.kind|no field") as error:
            load_yaml(config)
        assert len(str(error.value)) < 400
    with pytest.raises(UserError) as error:
        Fields({"names": top}, "data.yaml").text("names")
    assert len(str(error.value)) < 400
