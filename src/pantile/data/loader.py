"""Loader: torch's DataLoader with messages of one sentence."""

from collections.abc import Iterator

from torch.utils.data import DataLoader

from pantile.contracts.errors import UserError


class Loader(DataLoader):
    """A DataLoader that lets a UserError of a worker process through as its one sentence."""

    def __iter__(self) -> Iterator:
        try:
            yield from super().__iter__()
        except UserError as error:
            # torch re-raises it with the worker's traceback as message, whose last line is the sentence
            raise UserError(str(error).rsplit("UserError: ", 1)[-1].strip()) from None
