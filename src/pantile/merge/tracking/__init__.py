"""Tracking: from predictions of single frames to ids that stay the same over frames, online and in constant memory."""

from pantile.merge.tracking.overlap import OverlapTracker, OverlapTracking
from pantile.merge.tracking.queries import QueryTracker, QueryTracking
from pantile.merge.tracking.tracker import TRACKERS, Tracker

__all__ = ["TRACKERS", "OverlapTracker", "OverlapTracking", "QueryTracker", "QueryTracking", "Tracker"]
