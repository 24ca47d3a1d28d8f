"""RankSeg: selected-label, rank-adaptive classification of pixels and regions (arXiv:2203.04187)."""

from pantile.techniques.rankseg import center_host, mask_host, pixel_host, position_host
from pantile.techniques.rankseg.config import RankSegConfig
from pantile.techniques.rankseg.technique import RankSeg

__all__ = ["RankSeg", "RankSegConfig", "center_host", "mask_host", "pixel_host", "position_host"]
