"""What an exported file says of itself: one JSON text in its metadata."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.fit import FitConfig
from pantile.data.reading import Reading
from pantile.merge.registry import MergeConfig
from pantile.runtime.merging import KINDS
from pantile.runtime.sizes import InputSizes

FORMAT = 1  # grows when a reader of an older one would misunderstand the file
KEY = "pantile"  # of the metadata


@dataclass(frozen=True)
class Header:
    """
    Attributes:
        taxonomy: classes of the outputs.
        merge: how outputs become predictions.
        evaluation_size: (H, W) to fit images into, or a rule for each image.
        reading: of files: what of them the network takes.
        channels: bands of the image.
        sizes: inputs that the graph takes.
        architecture, backbone: names, for people.
        weights: "fp32", "fp16" or "int8".
        inside: the graph merges, too: it gives ids and a table of so many rows; None gives the network's tensors.
        parity: what the check after the export measured, for people.
        version: of the pantile that wrote the file.
    """

    taxonomy: Taxonomy
    merge: MergeConfig
    evaluation_size: tuple[int, int] | FitConfig
    reading: Reading
    channels: int
    sizes: InputSizes
    architecture: str
    backbone: str
    weights: str = "fp32"
    inside: int | None = None
    parity: dict = field(default_factory=dict)
    version: str = ""

    def to_json(self) -> str:
        shallow = {item.name: getattr(self, item.name) for item in fields(self)}
        plain = {
            "format": FORMAT,
            "taxonomy": self.taxonomy.to_dict(),
            "merge": asdict(self.merge),
            "reading": asdict(self.reading),
            "sizes": asdict(self.sizes),
        }
        if isinstance(self.evaluation_size, FitConfig):
            plain["evaluation_size"] = asdict(self.evaluation_size)
        return json.dumps(shallow | plain)

    @classmethod
    def from_json(cls, text: str | None, path: str) -> "Header":
        """
        Raises:
            UserError: the file is not of pantile, of another format, or needs a merge that this machine lacks.
        """
        if not text:
            raise UserError(
                f"{path} is not a network that pantile exported (it lacks the metadata {KEY!r}): write one with "
                "`pantile export RUN --out FILE`."
            )
        try:
            data = json.loads(text)
            found = data.pop("format")
            if found != FORMAT:
                raise UserError(
                    f"{path} has format {found} and was written by pantile {data.get('version')}; this pantile reads "
                    f"format {FORMAT}: export it again with this one, or read it with that one."
                )
            return cls(**_typed(data, path))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: its metadata {KEY!r} is damaged ({error}): export it again.") from None


def _typed(data: dict[str, Any], path: str) -> dict[str, Any]:
    """The fields of a header from plain containers."""
    merge, size = dict(data["merge"]), data["evaluation_size"]
    if merge["kind"] not in KINDS:
        raise UserError(
            f"{path}: merge.kind={merge['kind']} has no form without torch here; it has {', '.join(sorted(KINDS))}."
        )
    return data | {
        "taxonomy": Taxonomy.from_dict(data["taxonomy"]),
        "merge": KINDS[merge["kind"]].config_class(**merge),
        "evaluation_size": FitConfig(**size) if isinstance(size, dict) else tuple(size),
        "reading": Reading(**{name: _tuples(value) for name, value in data["reading"].items()}),
        "sizes": InputSizes.from_dict(data["sizes"]),
    }


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
