"""Loader: torch's DataLoader with messages of one sentence."""

from collections.abc import Iterator

from torch.utils.data import DataLoader, Dataset

from pantile.contracts.errors import UserError
from pantile.contracts.workers import stay_with_parent


class Loader(DataLoader):
    """A DataLoader that lets a UserError of a worker process through as its one sentence, and whose workers never
    outlive this process."""

    def __init__(self, dataset: Dataset, **options: object) -> None:
        super().__init__(dataset, **options, worker_init_fn=stay_with_parent)

    def __iter__(self) -> Iterator:
        try:
            yield from super().__iter__()
        except UserError as error:
            # torch re-raises it with the worker's traceback as message, whose last line is the sentence
            raise UserError(str(error).rsplit("UserError: ", 1)[-1].strip()) from None

    def close(self) -> None:
        """Ends workers that persist. Left to the interpreter's end they are waited for in vain, five seconds each."""
        if self._iterator is not None:
            self._iterator._shutdown_workers()
            self._iterator = None
