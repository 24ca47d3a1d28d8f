"""What is installed beside the modules: every other file of the package is named in ``pyproject.toml``."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_that_is_no_module_is_package_data():
    package = ROOT / "src" / "pantile"
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    installed = {path for pattern in setup["package-data"]["pantile"] for path in package.glob(pattern)}
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files and files <= installed
