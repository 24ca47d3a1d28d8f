"""What a benchmark claims, held against what it measured; a script whose claim does not hold ends with status 1."""

import sys


class Claims:
    """Collects figures with their limits; ``finish`` prints those that missed."""

    def __init__(self) -> None:
        self._missed: list[str] = []

    def at_most(self, name: str, figure: float, limit: float) -> None:
        self._hold(figure <= limit, name, figure, f"at most {limit:g}")

    def at_least(self, name: str, figure: float, limit: float) -> None:
        self._hold(figure >= limit, name, figure, f"at least {limit:g}")

    def _hold(self, holds: bool, name: str, figure: float, claim: str) -> None:
        print(f"claim: {name} {figure:.3g}, {claim}: {'holds' if holds else 'MISSED'}", flush=True)
        if not holds:
            self._missed.append(name)

    def finish(self) -> None:
        """
        Raises:
            SystemExit: with status 1 where a claim was missed.
        """
        if self._missed:
            print(f"missed: {', '.join(self._missed)}", file=sys.stderr)
            raise SystemExit(1)
