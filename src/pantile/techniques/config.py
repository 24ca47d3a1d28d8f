"""Which techniques a run uses: one optional field each; None is off."""

from dataclasses import dataclass

from pantile.techniques.intra_batch import IntraBatchConfig
from pantile.techniques.reclass import ReClassConfig
from pantile.techniques.remask import ReMaskConfig


@dataclass
class TechniquesConfig:
    """Each field switches one technique on; ``--set techniques.reclass=null`` switches it off."""

    remask: ReMaskConfig | None = None
    reclass: ReClassConfig | None = None
    intra_batch: IntraBatchConfig | None = None
