"""Scoring videos that anybody predicted: the layouts of data sets that are read, and the measures of each kind."""

from pantile.score.video.layouts import VIDEO_LAYOUTS, VideoOptions, video_layout_of
from pantile.score.video.run import score_videos
from pantile.score.video.score import VideoScore

__all__ = ["VIDEO_LAYOUTS", "VideoOptions", "VideoScore", "score_videos", "video_layout_of"]
