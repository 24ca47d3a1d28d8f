"""The one exception that means: the input is at fault, not the program."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file or field and what to do.

    The command line prints the sentence and exits with code 2; as a library, catch it like any exception.
    """
