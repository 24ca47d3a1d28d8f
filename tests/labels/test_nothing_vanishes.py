"""Counts in = counts out + named losses, for images, annotations, classes and files of labels, in every reader.

The makers of ``full_folders`` know what they wrote. Label PNGs whose photo is missing are left out unread, so their
segments count neither as in nor as lost.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels.full_folders import CLASS_MAPS, MAKERS
from labels.full_tool_folders import TOOL_MAKERS
from labels.tiny_labels import assert_books_balance, run
from pantile.labels import READERS, Report
from pantile.labels.report import COVERED

ALL_MAKERS = MAKERS | TOOL_MAKERS


def test_every_reader_is_counted():
    assert READERS.keys() - READERS.foreign().keys() == ALL_MAKERS.keys() | CLASS_MAPS


def lost(report: Report, what: str) -> int:
    return sum(own.count for own in report.left_out if own.what == what)


@pytest.mark.parametrize("source", sorted(ALL_MAKERS))
@given(seed=st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_counts_in_are_counts_out_and_named_losses(source, seed):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "src")
        root.mkdir()
        content = ALL_MAKERS[source](root, np.random.default_rng(seed))
        report = run(root, Path(folder, "dst"), source, overlap="last-on-top", skip_missing=True)
    assert content.images == sum(report.images.values()) + lost(report, "images")
    assert content.files == lost(report, "files")
    assert content.classes == len(report.taxonomy) + lost(report, "classes")
    dropped = sum(n for (_, reason), n in report.dropped.items() if reason != COVERED)
    became = sum(report.segments_in.values()) + sum(report.joined.values())
    assert content.annotations == became + dropped + lost(report, "annotations")
    assert_books_balance(report)
