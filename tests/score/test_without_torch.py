"""Scoring files starts at once and fits small machines: it does without torch, whose import takes seconds, 500 MB."""

import subprocess
import sys


def test_scoring_imports_no_torch():
    code = """
import sys
import pantile.cli.score, pantile.cli.score_tables, pantile.cli.score_video_tables, pantile.score
import pantile.metrics.track_rows
from pantile.score.video import VIDEO_LAYOUTS
from pantile.contracts.taxonomy import plain_taxonomy
plain_taxonomy(["cat"], things=["cat"]).index_of_id
assert len(VIDEO_LAYOUTS) >= 5
assert "torch" not in sys.modules and "torchmetrics" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
