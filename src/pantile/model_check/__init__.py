"""What every verb needs of an architecture, tried out and told in sentences. Nothing in the package imports it."""

from pantile.model_check.check import check_model

__all__ = ["check_model"]
