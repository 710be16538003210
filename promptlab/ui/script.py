"""The page's own JavaScript: buttons inside HTML pieces, and charts on the plotly.js of the plotly wheel (no network)."""

from pathlib import Path

from promptlab.plots.linked import plotlyjs

HERE = Path(__file__).parent
ACTIONS = (HERE / "actions.js").read_text(encoding="utf-8")
CHART = (HERE / "chart.js").read_text(encoding="utf-8").replace("PLOTLY", plotlyjs().as_posix())
CHART_TEMPLATE = "<div class='pl-chart' role='img'></div>"
