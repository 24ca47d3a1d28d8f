"""The report's table of mistakes by kind; absent where there are none."""

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import PanopticErrors
from pantile.visualize.report import ReportData, render_report


def test_the_table_tells_what_each_kind_costs_and_is_absent_without_mistakes():
    taxonomy = plain_taxonomy(["cat & dog", "sky"], things=["cat & dog"])
    truth = PanopticMap(np.array([[1, 1, 1, 2, 2, 2, 2]]), (Segment(1, 0), Segment(2, 1)))
    metric = PanopticErrors(taxonomy)
    metric.update(truth, truth)
    assert 'id="errors"' not in render_report(ReportData(results=metric.compute().to_dict()))
    metric.update(PanopticMap(np.array([[2] * 7]), (Segment(2, 1),)), truth)
    result = metric.compute()
    page = render_report(ReportData(results=result.to_dict()))
    assert 'id="errors"' in page and "cat &amp; dog" in page
    for kind in ("missed", "loose_border"):
        assert f"{100 * result.kinds[kind].lost_pq:.1f}</td>" in page and result.kinds[kind].lost_pq > 0
