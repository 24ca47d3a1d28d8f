"""What every field of a run is: its type, its default and what it means, read from the classes that have it.

Nothing is written twice: the meaning is the field's entry under ``Attributes:`` in its class's docstring, or else the
comments beside and above it.
"""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pantile.engine.config import KINDS, RunConfig, field_groups, fields_of, to_dict
from pantile.techniques import TechniquesConfig

_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): ?(.*)$")


@dataclass(frozen=True)
class FieldHelp:
    """
    Attributes:
        name: dotted, as ``--set`` takes it.
        kind: of what it holds, as Python writes it; "" for a group of fields.
        default: as the class has it, "" where it has none, or what a recipe has. "by kind" where kinds differ.
        meaning: in words; "" where nobody wrote one. Where kinds differ, that of the first one, which is named.
        kinds: which kinds of its group have it, such as architectures; () for all.
    """

    name: str
    kind: str
    default: str
    meaning: str
    kinds: tuple[str, ...] = ()


def described_fields(config: RunConfig | None = None) -> list[FieldHelp]:
    """Every field that holds a value, in the order of ``field_names``; groups are left out.

    Args:
        config: of a run: its kinds alone, and its values in place of defaults. None for all kinds.
    """
    found: dict[str, list[FieldHelp]] = {}
    chosen = {} if config is None else {name: type(getattr(config, name)) for name in KINDS}
    _collect(RunConfig, "", (), chosen, found)
    merged = [_merged(same) for same in found.values()]
    return merged if config is None else [_with_value(field, to_dict(config)) for field in merged]


def _collect(
    cls: type, prefix: str, kinds: tuple[str, ...], chosen: dict[str, type], found: dict[str, list[FieldHelp]]
) -> None:
    written = _written(cls)
    fields = fields_of(cls)  # of techniques and kinds in the order in which somebody imported them: by name instead
    for name in sorted(fields) if cls is TechniquesConfig else fields:
        annotation = fields[name]
        groups = sorted(field_groups(name, annotation), key=lambda group: _kinds_of(name, group))
        for group in groups:
            if name not in chosen or group is chosen[name]:
                _collect(group, f"{prefix}{name}.", _kinds_of(name, group) or kinds, chosen, found)
        if not groups or (name not in KINDS and _takes_values(annotation)):
            found.setdefault(prefix + name, []).append(
                FieldHelp(prefix + name, *written.get(name, ("", "", "")), kinds)
            )


def _merged(same: list[FieldHelp]) -> FieldHelp:
    """What several kinds say of a field of one name."""
    first, meanings = same[0], list(dict.fromkeys(field.meaning for field in same if field.meaning))
    meaning = next(iter(meanings), "")
    if len(meanings) > 1:
        teller = next(field for field in same if field.meaning)
        meaning = f"{meaning} ({teller.kinds[0]})"
    default = first.default if len({field.default for field in same}) == 1 else "by kind"
    kind = first.kind if len({field.kind for field in same}) == 1 else "by kind"
    kinds = tuple(dict.fromkeys(kind for field in same for kind in field.kinds))
    group = first.name.partition(".")[0]
    if group in KINDS and len(kinds) == len(KINDS[group].classes()):
        kinds = ()
    return FieldHelp(first.name, kind, default, meaning, kinds)


def _with_value(field: FieldHelp, data: Any) -> FieldHelp:
    for part in field.name.split("."):
        if not isinstance(data, dict) or part not in data:
            return replace(field, default="off")  # a field of a group that the recipe leaves out
        data = data[part]
    return replace(
        field, default="null" if data is None else str(data).lower() if isinstance(data, bool) else str(data)
    )


def _kinds_of(name: str, group: type) -> tuple[str, ...]:
    classes = KINDS[name].classes() if name in KINDS else {}
    return tuple(sorted(kind for kind, cls in classes.items() if cls is group))


def _takes_values(annotation: Any) -> bool:
    """Whether a field that may hold a group may also hold something else than a group or nothing, such as a size."""
    options = getattr(annotation, "__args__", ())
    return any(option is not type(None) and not field_groups("", option) for option in options)


@cache
def _written(cls: type) -> dict[str, tuple[str, str, str]]:
    """Field -> (type, default, meaning), as the class and those that it inherits from have them in their source."""
    found: dict[str, tuple[str, str, str]] = {}
    for base in reversed(cls.__mro__):
        if "__dataclass_fields__" in vars(base):
            found |= _of_source(base, {name: meaning for name, (_, _, meaning) in found.items()})
    return found


def _of_source(cls: type, inherited: dict[str, str]) -> dict[str, tuple[str, str, str]]:
    source = textwrap.dedent(inspect.getsource(cls))
    described, comments = _attributes(cls.__doc__ or ""), _comments(source)
    (tree,) = ast.parse(source).body
    found = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            meaning = described.get(name) or _beside(node, comments) or inherited.get(name, "")
            default = "" if node.value is None else ast.unparse(node.value)
            found[name] = (_type(node.annotation), default, meaning)
    return found


def _type(annotation: ast.expr) -> str:
    """``Annotated[int, ...]`` is an int to people."""
    if isinstance(annotation, ast.Subscript) and getattr(annotation.value, "id", "") == "Annotated":
        return ast.unparse(annotation.slice.elts[0])
    text = ast.unparse(annotation)
    names = {"Positive": "int, at least 1", "NotNegative": "int, at least 0", "Amount": "float, at least 0"}
    for name, words in names.items():
        text = re.sub(rf"\b{name}\b", words, text)
    return text


def _attributes(docstring: str) -> dict[str, str]:
    """Entries below ``Attributes:``."""
    _, _, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith("    "):
            break
        if (entry := _ENTRY.match(line)) is not None:
            names = entry[1].split(", ")
            entries |= dict.fromkeys(names, entry[2])
        else:
            entries |= {name: f"{entries[name]} {line.strip()}".strip() for name in names}
    return entries


def _comments(source: str) -> dict[int, tuple[str, bool]]:
    """Line -> (its comment, whether there is nothing else on it)."""
    lines = source.splitlines()
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: (token.string.lstrip("#: "), not lines[token.start[0] - 1][: token.start[1]].strip())
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _beside(node: ast.AnnAssign, comments: dict[int, tuple[str, bool]]) -> str:
    above, line = [], node.lineno - 1
    while line in comments and comments[line][1]:
        above.insert(0, comments[line][0])
        line -= 1
    within = [comments[n][0] for n in range(node.lineno, node.end_lineno + 1) if n in comments]
    return " ".join(above + within)


def fields_page(fields: list[FieldHelp]) -> str:
    """A page in Markdown: a table for each group."""
    lines = ["# Fields of a run", "", "Made by `pantile models fields --markdown`, from the classes themselves.", ""]
    lines += [
        "`--set FIELD=VALUE` changes them, with values in YAML; `pantile models fields --of RECIPE` shows a recipe's."
    ]
    group = None
    for field in fields:
        own = field.name.rpartition(".")[0]
        if own != group:
            lines += ["", f"## {own or 'run'}", "", "| field | type | default | meaning |", "|---|---|---|---|"]
            group = own
        kinds = f" *Of {', '.join(field.kinds)}.*" if field.kinds else ""
        cells = (f"`{field.name}`", _cell(field.kind), _cell(field.default), field.meaning.replace("|", "\\|") + kinds)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(code: str) -> str:
    return f"`{code}`".replace("|", "\\|") if code else ""
