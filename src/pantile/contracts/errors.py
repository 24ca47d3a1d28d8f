"""The one exception that means: the input is at fault, not the program."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file or field and what to do.

    The command line prints the sentence and exits with code 2; as a library, catch it like any exception.
    """


class NoSplit(UserError):
    """A data set has no split of a name.

    Args:
        problem: the sentence so far, without full stop.
        choices: the splits that it has, in words, such as "train or val".
        option: of the command line, by which a split is chosen; None in a library.
    """

    def __init__(self, problem: str, choices: str, option: str | None = None) -> None:
        self.problem, self.choices = problem, choices
        way = f" with {option}" if option else ""
        super().__init__(f"{problem}: choose {choices}{way}.")
