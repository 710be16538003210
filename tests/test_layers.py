"""The shape of the source: who imports whom, who may know which library, how long files and functions are, what method files share."""

import ast
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import promptlab

ROOT = Path(promptlab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
METHODS = sorted((ROOT / "methods").glob("[!_]*.py"))

LAYERS = {
    0: "errors losses metrics assets files measure inspect.exhibit data.batch",  # data.batch: PixelSpec, which backbones read too
    1: "backbones",
    2: "parts data world",
    3: "card",
    4: "fit",
    5: "method registry",
    6: "methods create",
    7: "evaluate inspect answers archive request runs drive testing pretrain",
    8: "plots",
    9: "api jobs compare scale progress shots docs doctor bench cli ui widgets",
}
WALLS = {
    "open_clip": ("backbones",), "timm": ("backbones",), "gradio": ("ui",), "anywidget": ("widgets",),
    "plotly": ("plots",), "matplotlib": ("plots",), "ot": (), "pickle": (), "typer": ("cli",),
}


def module(path: Path) -> str:
    """"parts.dense" of promptlab/parts/dense.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def layer(name: str) -> int:
    """The layer of a module: that of its longest listed prefix; the package itself is the top."""
    ranks = {prefix: rank for rank, prefixes in LAYERS.items() for prefix in prefixes.split()}
    parts = name.split(".")
    found = [ranks[p] for p in (".".join(parts[:n]) for n in range(len(parts), 0, -1)) if p in ranks]
    assert found or not name, f"promptlab.{name} has no layer; add it to tests/test_layers.py"
    return found[0] if found else 9


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            names = [f"{node.module}.{a.name}" for a in node.names]
            ours = [n for n in names if n.startswith("promptlab.") and _is_module(n)]  # "from promptlab.data import task"
            yield from ours or [node.module]


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("path", FILES, ids=module)
def test_lower_never_imports_higher(path: Path) -> None:
    own = module(path)
    for name in imports(path):
        if name.split(".")[0] == "promptlab" and own:
            target = name.removeprefix("promptlab").removeprefix(".")
            assert layer(target) <= layer(own) or not target, f"promptlab.{own} (layer {layer(own)}) imports {name} (layer {layer(target)})"
            assert not (own.startswith("methods.") and target.startswith("methods.")), f"one method file imports another: {own}, {target}"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_walls(path: Path) -> None:
    for name in imports(path):
        home = WALLS.get(name.split(".")[0])
        assert home is None or module(path).split(".")[0] in home, f"{module(path)} imports {name}; only {home or 'nobody'} may"
        assert name != "matplotlib.pyplot", f"{module(path)} imports pyplot, whose state is global"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_short_enough_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    limit = 150 if path in METHODS else 300
    assert text.count("\n") <= limit, f"{path.name} has {text.count(chr(10))} lines, of {limit}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 40, f"{path.name}: {node.name} has {length} lines, of 40"


def body(path: Path) -> list[str]:
    """A method file's own lines: no docstrings, comments, imports, and none of the frame that the contract prescribes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return [line.strip() for line in ast.unparse(tree).splitlines() if line.strip()]


def test_method_files_are_not_copies() -> None:
    """No two share more than a quarter of the shorter one's lines; a line of four files or more is the contract's frame."""
    lines = {path.stem: body(path) for path in METHODS}
    spread = Counter(line for own in lines.values() for line in set(own))
    own = {key: Counter(line for line in value if spread[line] < 4) for key, value in lines.items()}
    for a, b in itertools.combinations(own, 2):
        shared, shorter = (own[a] & own[b]).total(), min(own[a].total(), own[b].total())
        assert shared <= 0.25 * shorter, f"{a} and {b} share {shared} of {shorter} lines: {list(own[a] & own[b])}"
