"""What a check says: one sentence for each thing that fails and how to mend it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from pantile.model_check.subject import Subject

#: tries one requirement; every sentence that it gives is something to mend
Check = Callable[[Subject], Iterable[str] | None]


class Finding(Exception):
    """A sentence after which a check cannot go on."""


@contextmanager
def expecting(what: str, remedy: str) -> Iterator[None]:
    """Whatever is raised inside becomes a ``Finding``: what failed, with which error, and the remedy."""
    try:
        yield
    except Finding:
        raise
    except Exception as error:  # whatever somebody's model raises
        raise Finding(f"{what} ({_told(error)}): {remedy}.") from error


def findings_of(check: Check, subject: Subject) -> list[str]:
    """The sentences of one check; an error nobody expected is one of them."""
    sentences = []
    try:
        for sentence in check(subject) or ():  # one by one: those before an error count
            sentences.append(sentence)  # noqa: PERF402
    except Finding as finding:
        sentences.append(str(finding))
    except Exception as error:  # whatever somebody's model raises
        sentences.append(f"{_title(check)}: {_told(error)}.")
    return sentences


def _title(check: Check) -> str:
    function = check.func if isinstance(check, partial) else check
    return function.__name__.replace("_", " ")


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".rstrip(": .")
