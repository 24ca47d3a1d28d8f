"""Messages of protocol buffers by field number, for the few that a TensorFlow checkpoint consists of."""

from collections import defaultdict


def varint(data: bytes, start: int) -> tuple[int, int]:
    """The number at ``start``, seven bits a byte and the lowest first, and where it ends.

    Raises:
        IndexError: the data end before the number does.
    """
    value = shift = 0
    while True:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7


def fields_of(message: bytes) -> dict[int, list]:
    """What each field number holds, in order: int for a number, bytes for a text, a message or a packed list.

    Raises:
        IndexError, ValueError: no message.
    """
    fields: dict[int, list] = defaultdict(list)
    position = 0
    while position < len(message):
        tag, position = varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = varint(message, position)
        elif kind in (1, 2, 5):
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, position = varint(message, position)
            value = message[position : position + length]
            if len(value) < length:
                raise IndexError(f"field {number} is cut off")
            position += length
        else:
            raise ValueError(f"no field has wire type {kind}")
        fields[number].append(value)
    return fields
