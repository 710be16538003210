"""Gates over the source text: who may import whom, third-party walls, lengths, and copy-paste between methods."""

import ast
import io
import tokenize
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "promptlab"
FILES = sorted(p for p in PACKAGE.rglob("*.py"))
LAYERS = {
    0: ("errors", "losses", "metrics", "inspect.exhibit", "files", "assets", "measure"),
    1: ("backbones",),
    2: ("parts", "data", "world"),
    3: ("card",),
    4: ("fit",),
    5: ("method", "registry", "create"),
    6: ("methods",),
    7: ("evaluate", "inspect", "answers", "request", "runs", "archive", "drive", "shots", "compare", "testing", "pretrain"),
    8: ("plots",),
    9: ("__main__", "api", "progress", "jobs", "scale", "docs", "doctor", "cli", "bench", "ui", "widgets", "app", "course", "docs_site",
        "project"),
}
ALLOWED_UP = {("backbones", "promptlab.data.batch")}  # PixelSpec: how a backbone wants its pictures
WALLS = {  # third-party package → where it may be imported
    "open_clip": ("backbones",), "timm": ("backbones",), "gradio": ("ui",), "anywidget": ("widgets",), "ot": (), "ray": ("scale",),
    "matplotlib": ("plots",), "plotly": ("plots",), "typer": ("cli",),
}
CONTRACT = {  # lines that every method must write as they are
    "@ dataclass ( frozen = True )", "class Hyper ( Train ) :", "Hyper = Hyper", "card = Card (",
    "def __init__ ( self , backbone : Any , task : Task , hyper : Hyper ) :", "super ( ) . __init__ ( backbone , task , hyper )",
    "def edits ( self , batch : Batch | None = None ) -> list [ Edit ] :", "def classes ( self , names : ClassSet ) -> Bank :",
    "def forward ( self , batch : Batch , bank : Bank ) -> Out :", "def predict ( self , batch : Batch , bank : Bank ) -> Out :",
    "def loss ( self , out : Out , batch : Batch ) -> dict [ str , Tensor ] :",
    "def fit ( self , episode : Episode , ctx : Any ) -> Iterator [ Any ] :",
    "def fit ( self , episode : Episode , ctx : Any ) -> Iterator [ Event ] :",
}
METHODS = sorted(p for p in (PACKAGE / "methods").glob("*.py") if not p.name.startswith("_"))


def name_of(path):
    """promptlab/data/batch.py → "data.batch"; packages go by their own name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module):
    """The layer of "data.batch", by its longest listed beginning; None where nothing is listed."""
    found = [(len(name), layer) for layer, names in LAYERS.items() for name in names if module == name or module.startswith(name + ".")]
    return max(found)[1] if found else None


def imports(path):
    """Modules that a file imports anywhere, functions included; ``from a import b`` counts as a.b where that is a module of ours."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = [f"{node.module}.{a.name}" for a in node.names]
            ours = [n for n in inner if _is_module(n)]
            yield from ours if len(ours) == len(inner) else [node.module, *ours]
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path.name} imports relatively"


def _is_module(name):
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _ids(paths):
    return [str(p.relative_to(PACKAGE)) for p in paths]


@pytest.mark.parametrize("path", FILES, ids=_ids(FILES))
def test_lower_layers_never_import_higher_ones(path):
    module = name_of(path)
    if not module:
        return
    own = layer_of(module)
    assert own is not None, f"{module} stands in no layer; list it in LAYERS"
    for name in imports(path):
        if name.startswith("promptlab.") and (module.split(".")[0], name) not in ALLOWED_UP:
            target = name.removeprefix("promptlab.")
            theirs = layer_of(target)
            assert theirs is not None and theirs <= own, f"{module} (layer {own}) imports {name} (layer {theirs})"


@pytest.mark.parametrize("path", FILES, ids=_ids(FILES))
def test_third_party_walls(path):
    for name in imports(path):
        package = name.split(".")[0]
        if package in WALLS:
            assert name_of(path).split(".")[0] in WALLS[package], f"{package} may be imported in {WALLS[package] or 'tests'} only"
        assert package not in ("pickle", "dill", "joblib") and name != "matplotlib.pyplot"


@pytest.mark.parametrize("path", METHODS, ids=_ids(METHODS))
def test_methods_do_not_import_each_other(path):
    assert not [n for n in imports(path) if n.startswith("promptlab.methods")], "a wrapper gets its inner method from the registry"


def test_plots_know_exhibits_only():
    known = ("promptlab.plots", "promptlab.inspect.exhibit", "promptlab.errors", "promptlab.files")
    for path in (PACKAGE / "plots").rglob("*.py"):
        strange = [n for n in imports(path) if n.startswith("promptlab.") and not n.startswith(known)]
        assert not strange, f"{path.name} imports {strange}"


@pytest.mark.parametrize("path", FILES, ids=_ids(FILES))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    limit = 150 if path in METHODS else 300
    assert text.count("\n") <= limit, f"{path.name} has more than {limit} lines"
    assert "from __future__ import annotations" not in text
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 40, f"{path.name}: {node.name} has {length} lines; 40 are allowed"


def normalised(path):
    """The file's lines without comments, docstrings, imports and space: what is compared between methods."""
    text = path.read_text(encoding="utf-8")
    skip = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            skip |= set(range(node.lineno, node.end_lineno + 1))
    kept = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            kept.setdefault(token.start[0], []).append(" ".join(token.string.split()))
    return {" ".join(tokens) for line, tokens in kept.items() if line not in skip and len("".join(tokens)) > 3}


def test_no_two_methods_share_a_quarter_of_their_lines():
    lines = {p.stem: normalised(p) - CONTRACT for p in METHODS}
    for a, b in combinations(lines, 2):
        shared = len(lines[a] & lines[b]) / max(1, min(len(lines[a]), len(lines[b])))
        assert shared <= 0.25, f"{a} and {b} share {100 * shared:.0f} % of their lines; move what they share into parts/"


def test_the_gates_see_what_they_should(tmp_path):
    file = tmp_path / "x.py"
    file.write_text('"""Doc."""\nimport os  # why\nx = 1234\ndef f():\n    """Doc."""\n    return x  # because\n')
    assert normalised(file) == {"x = 1234", "def f ( ) :", "return x"}
    assert [layer_of(m) for m in ("inspect.exhibit", "inspect.words", "methods.coop", "nowhere")] == [0, 7, 6, None]
