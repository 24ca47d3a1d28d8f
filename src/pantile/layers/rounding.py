"""Whole numbers of sides, so that they can be exported."""


def ceil_div(length: int, step: int) -> int:
    """The least whole number that is at least ``length / step``, for a length of 0 or more.

    Not ``-(-length // step)``: the ONNX exporter writes ``//`` as a division that rounds towards zero, which is another
    number where ``length`` is traced as a symbol.
    """
    return (length + step - 1) // step
