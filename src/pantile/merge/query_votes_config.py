"""How queries vote for the class of each pixel where things are not told apart."""

from dataclasses import dataclass
from typing import Literal

from pantile.contracts.errors import UserError


@dataclass
class QueryVotesConfig:
    """Settings of ``predict_votes`` (EoMT's semantic task).

    Attributes:
        kind: always "query_votes".
        chunk_rows: rows of the result whose votes exist at a time.
    """

    kind: Literal["query_votes"] = "query_votes"
    chunk_rows: int = 32

    def __post_init__(self) -> None:
        if self.chunk_rows < 1:
            raise UserError(f"merge.chunk_rows is {self.chunk_rows}: give at least 1.")
