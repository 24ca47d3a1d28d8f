"""From an exported program to an ONNX file."""

import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from torch.export import ExportedProgram

from pantile.contracts.errors import UserError
from pantile.export.tracing import Traced
from pantile.runtime.header import KEY
from pantile.runtime.onnx_file import IMAGES, PADDING

OPSET = 20
_LACKING = re.compile(r"OpOverload\(op='([\w.]+)'")


def require_onnx() -> ModuleType:
    """
    Raises:
        UserError: a package that writing needs is missing.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise UserError(
                f"Writing ONNX files needs the package {package}: install it with `pip install 'pantile[export]'`."
            )
    import onnx

    return onnx


def write_onnx(traced: Traced, names: tuple[str, ...], path: Path) -> None:
    """
    Args:
        names: of the outputs, in order.
        path: written in place.

    Raises:
        UserError: an operator that ONNX lacks; names it and the layer.
    """
    require_onnx()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own code
            program = torch.onnx.export(
                traced.program,
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=[IMAGES, PADDING],
                output_names=list(names),
                # its optimizer breaks the batched products of axial attention on square maps
                optimize=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(_sentence(error, traced.program)) from error
    program.save(str(path))


def write_metadata(path: Path, header: str) -> None:
    """Puts the header into a file, in place of what is there."""
    onnx = require_onnx()
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: header})
    onnx.save(model, str(path))


def _sentence(error: BaseException, program: ExportedProgram) -> str:
    """Which operator of which layer could not be translated."""
    texts, cause = [], error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    operator = next((found[1] for text in texts if (found := _LACKING.search(text))), None)
    if operator is None:
        return f"The network cannot be written as ONNX: {_first_line(_root(error))[:300]}"
    layer = next(
        (_layer(node) for node in program.graph.nodes if operator.rpartition(".")[2] in str(node.target)), "the network"
    )
    return f"ONNX (opset {OPSET}) lacks the operator {operator} of {layer}: take --format torch, or another layer."


def _root(error: BaseException) -> BaseException:
    """What the exporter's own exceptions were raised from; not what was handled before."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _layer(node: torch.fx.Node) -> str:
    """The innermost module that a node came from, with its name in the network."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "the network"
    name, kind = stack[-1]
    return f"{name or 'the network'} ({str(getattr(kind, '__name__', kind)).rpartition('.')[2]})"
