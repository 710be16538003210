"""An exhibit as a whole HTML page with plotly.js inside: it needs no network."""

import html

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.interactive import NARROW, PAGE, figure


def page(e: Exhibit, dark: bool) -> str:
    """One column on a phone, side by side on a desktop, chosen again when the window changes."""
    narrow, wide = (figure(e, width=w, dark=dark).update_layout(width=None) for w in (400, 1000))
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(e.title)}</title><style>body{{margin:0 auto;max-width:1200px;padding:8px;background:{PAGE[dark]}}}</style>
<script>{get_plotlyjs()}</script></head><body><div id="figure"></div><script>
const figures = [{_json(narrow)}, {_json(wide)}];
let shown = -1;
function show() {{
  const i = window.innerWidth < {NARROW + 120} ? 0 : 1;
  if (i !== shown) Plotly.newPlot("figure", {{...figures[i], config: {{responsive: true, displaylogo: false}}}});
  shown = i;
}}
window.addEventListener("resize", show); show();
</script></body></html>"""


def _json(drawn: go.Figure) -> str:
    return drawn.to_json().replace("</", "<\\/")
