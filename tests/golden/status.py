"""Which methods are held to numbers of their original: ``python -m tests.golden.status`` rewrites ``assets/golden.json``."""

import json
from pathlib import Path

from promptlab import registry
from tests.golden import harness

FILE = Path(__file__).parents[2] / "assets" / "golden.json"


def found() -> dict[str, int]:
    """Number of golden cases of each method of the registry that has any."""
    counts: dict[str, int] = {}
    for case in harness.load(harness.CASES):
        key = registry_key(case.method)
        counts[key] = counts.get(key, 0) + 1
    return dict(sorted(counts.items()))


def registry_key(golden: str) -> str:
    """The method behind a golden key: its own id, or the module that the key's adapter takes the method from."""
    if golden in registry.ids():
        return golden
    text = (Path(__file__).parent / "adapters" / f"{golden}.py").read_text(encoding="utf-8")
    return text.split("from promptlab.methods.", 1)[1].split(" ", 1)[0]


if __name__ == "__main__":
    FILE.write_text(json.dumps(found(), indent=1) + "\n", encoding="utf-8")
