"""The numbers of a merge that a request may change, by their names in its config."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from pantile.contracts.errors import UserError
from pantile.merge.registry import MergeConfig
from pantile.serve.limits import Refused

#: fields that say how the work is done, not what comes out, or that are no threshold
_OTHERS = {"chunk_rows", "instances", "label_divisor"}


@dataclass(frozen=True)
class Threshold:
    """
    Attributes:
        name: of the field.
        value: of the config that the network has.
        whole: a number of pixels or of parts, not a share.
    """

    name: str
    value: float
    whole: bool


def thresholds(config: MergeConfig | None) -> list[Threshold]:
    """The numbers among its fields, in order; none of a graph that merges itself."""
    if config is None:
        return []
    values = [(field.name, getattr(config, field.name)) for field in fields(config) if field.name not in _OTHERS]
    return [Threshold(name, value, isinstance(value, int)) for name, value in values if type(value) in (int, float)]


def changed(config: MergeConfig | None, wanted: Mapping[str, str]) -> MergeConfig | None:
    """
    Args:
        wanted: numbers as text, by the names of thresholds.

    Raises:
        Refused: another name, or a number that makes no sense.
    """
    known = {threshold.name: threshold for threshold in thresholds(config)}
    numbers = {}
    for name, text in wanted.items():
        if name not in known:
            names = ", ".join(known) or "none"
            raise Refused(400, f"{name[:80]} is no option of this address; thresholds are: {names}.")
        try:
            numbers[name] = int(text) if known[name].whole else float(text)
        except ValueError:
            kind = "a whole number" if known[name].whole else "a number"
            raise Refused(400, f"{name}={text[:80]!r}: give {kind}, such as {known[name].value:g}.") from None
    try:
        return replace(config, **numbers) if numbers else config
    except UserError as error:
        raise Refused(400, str(error).removeprefix("merge.")) from None
