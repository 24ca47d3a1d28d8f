"""Rows of segments_info: all at once where nothing is suspicious, with the verdicts and the rows of one by one."""

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantile.contracts import segments_info
from pantile.contracts.errors import UserError
from pantile.contracts.segments_info import segment_rows

CLASS_OF = {1: 0, 7: 1, 300: 2}
STRANGE = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        1.0,
        0.0,
        float("nan"),
        float("inf"),
        2**24 - 1,
        2**24,
        10**30,
        "1",
        "",
        "true",
        [],
        {},
    ]
)
FIELDS = {
    "id": st.integers(-1, 6) | STRANGE,
    "category_id": st.sampled_from(sorted(CLASS_OF)) | STRANGE,
    "iscrowd": st.sampled_from([0, 1, None]) | STRANGE,
    "area": st.just(12),
}
ROWS = st.lists(st.fixed_dictionaries({}, optional=FIELDS) | STRANGE, max_size=4)
PLAIN = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(1, 2**24 - 1), "category_id": st.sampled_from(sorted(CLASS_OF))},
        optional={"iscrowd": st.sampled_from([0, 1, True, None])},
    ),
    unique_by=lambda row: row["id"],
)


def outcome(rows, predicted):
    try:
        return segment_rows({"file_name": "a.png", "segments_info": rows}, CLASS_OF, Path("x.json"), predicted)
    except UserError as error:
        return str(error)


def one_by_one(rows, predicted):
    with patch.object(segments_info, "_all_at_once", return_value=None):
        return outcome(rows, predicted)


@settings(max_examples=400, deadline=None)
@given(rows=ROWS, predicted=st.booleans())
def test_verdicts_are_those_of_single_rows(rows, predicted):
    assert outcome(rows, predicted) == one_by_one(rows, predicted)


@settings(max_examples=60, deadline=None)
@given(rows=PLAIN, predicted=st.booleans())
def test_plain_rows_are_not_looked_at_singly(rows, predicted):
    with patch.object(segments_info, "row_fault", side_effect=AssertionError):
        found = outcome(rows, predicted)
    assert found == one_by_one(rows, predicted)
    assert [segment_id for segment_id, *_ in found] == [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": True, "category_id": 1}, "a segment with id True: ids are whole numbers"),
        ({"id": 4, "category_id": True}, "category_id True"),
        ({"id": 4, "category_id": 1, "iscrowd": 2}, "iscrowd 2: write 0 or 1"),
        ([1], "[1] in segments_info, which is no object"),
    ],
)
def test_the_first_wrong_row_is_named(row, told):
    rows = [{"id": 3, "category_id": 1}, row, {"id": 0}]
    assert outcome(rows, False).startswith("x.json: annotation 'a.png' has ")
    assert told in outcome(rows, False)


def test_flags_in_words_count():
    rows = [{"id": 3, "category_id": 7, "iscrowd": "true"}, {"id": 5, "category_id": 1, "iscrowd": "0"}]
    assert outcome(rows, False) == [(3, 1, True), (5, 0, False)]
    assert outcome(rows, True) == [(3, 1, False), (5, 0, False)]
