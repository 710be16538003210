"""UPL of ``tonyhuang2022/UPL``: which pictures are labelled, as what, how surely."""

from typing import Any

from promptlab.data.batch import Split
from promptlab.methods.upl import Upl
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s, out = case.settings, {}
    method = make.method(Upl, case, {"rule": s.get("rule"), "k": s.get("k"), "threshold": s.get("threshold"), "copies": 1, "n_ctx": 1},
                         (case.prompt,) if case.prompt else None)
    if s.get("source") == "zero_shot":
        source = make.batch(case).source
        out["logits"] = method.guess(Split(source, tuple(range(len(source)))))
        prob = out["logits"].softmax(-1)
    else:
        prob = case.inputs["probabilities"] if s.get("input") == "probabilities" else case.inputs["logits"].softmax(-1)
    chosen = method.choose(prob)
    return case.named({**out, "selected": chosen.index, "label": chosen.label, "confidence": chosen.confidence})
