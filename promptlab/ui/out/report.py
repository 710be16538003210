"""The report: one HTML file that needs nothing else, with the table, the learned words, evidence and confusion as pictures."""

import base64
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from promptlab import inspect as insight
from promptlab.errors import PromptlabError
from promptlab.plots import save
from promptlab.ui.handlers import frame, rows, shots
from promptlab.ui.out.code import script
from promptlab.ui.pieces import note, t, table
from promptlab.ui.session import Session

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2937;background:#fff}
table{border-collapse:collapse}td,th{padding:.3rem .7rem;border-bottom:1px solid #e5e7eb;text-align:right}td:first-child,th:first-child
{text-align:left}img{max-width:100%}pre{background:#f3f4f6;padding:1rem;overflow:auto}.note{color:#6b7280}
@media(prefers-color-scheme:dark){body{background:#111827;color:#e5e7eb}pre{background:#1f2937}img{background:#fff}}"""


def page(session: Session, batch: Any = None) -> str:
    """The whole file."""
    d, found = session.data, rows.groups(session)
    zero = next(r for r in found if r["index"] is None)
    cells = [[t(r["name"]), *(rows.cells_of(r, zero)[k][1] for k in rows.COLUMNS)] for r in found]
    parts = [f"<h1>{t(session.settings['name'])}</h1>", note(f"promptlab report, {date.today().isoformat()}. Backbone "
                                                            f"{session.settings['backbone']}, seed {d.seed}."),
             shots.said(session), "<h2>Methods</h2>", table(["method", *rows.COLUMNS.values()], cells)]
    for i, run in enumerate(session.runs):
        parts.append(f"<h2>{t(frame.name(session, i))}</h2>{_run(session, run, batch)}")
    parts.append(f"<h2>The same in Python</h2><pre>{t(script(session))}</pre>")
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{t(session.settings['name'])}</title>"
    return f"<!doctype html><html lang='en'><head>{head}<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"


def _run(session: Session, run: Any, batch: Any) -> str:
    names = session.data.names
    wanted = [lambda: insight.words(run), lambda: insight.evidence(run, batch) if batch is not None else None,
              lambda: insight.confusion(run.report, names)]
    card = run.method.card
    out = [f"<p>{t(card.difference)}. Trains: {t(card.trains)}. {run.meta['trainable']:,} learnables. {t(card.venue)} {card.year}, "
           f"{t(card.paper)}.</p>"]
    for make in wanted:
        try:
            exhibit = make()
        except PromptlabError as problem:
            out.append(note(str(problem)))
            continue
        if exhibit is not None:
            out.append(_picture(exhibit))
    return "".join(out)


def _picture(exhibit: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = save(exhibit, Path(folder) / "x.png")
        data = base64.b64encode(path.read_bytes()).decode()
    return f"<figure><img alt='{t(exhibit.title)}' src='data:image/png;base64,{data}'></figure>"
