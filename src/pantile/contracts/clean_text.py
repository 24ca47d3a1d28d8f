"""Texts of somebody's file that may become a file name, a line of a terminal or a cell of a report."""


def is_clean(text: str) -> bool:
    """Encodable, and free of control characters."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return not any(ord(character) < 32 for character in text)
