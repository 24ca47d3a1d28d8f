"""Checkpoints of the original repositories into ours, and back."""

from pantile.convert.kmax import export_kmax, import_kmax

__all__ = ["export_kmax", "import_kmax"]
