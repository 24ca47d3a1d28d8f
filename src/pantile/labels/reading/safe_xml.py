"""XML without document types: no entities are declared, so none can grow or read a file."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file


def read_xml(path: Path) -> Element:
    """The root element.

    Raises:
        UserError: the file cannot be read, is not XML, or declares a document type.
    """

    def refuse(*_: object) -> None:
        raise UserError(f"{path} declares a document type (<!DOCTYPE ...>), which may hide entities: remove that line.")

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(regular_file(path).read_bytes(), True)
        return builder.close()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): restore the file.") from None
    except (
        expat.ExpatError,
        ValueError,
        LookupError,
        AssertionError,
    ) as error:  # the latter for unknown encodings and depth
        raise UserError(f"{path} is not valid XML ({error}): export it anew.") from None
