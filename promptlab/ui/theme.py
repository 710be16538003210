"""Theme and style sheet: system fonts only, so that the page asks nothing of any other machine."""

import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { max-width: 1360px !important; margin: 0 auto !important; }
.pl-head h1 { margin: 0; font-size: 1.55rem; letter-spacing: -0.02em; }
.pl-head p { margin: 2px 0 0; color: var(--body-text-color-subdued); }
.column.pl-card {
  border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 16px; gap: 12px;
  background: var(--block-background-fill);
}
.pl-card .block { border: 0; padding: 0; background: transparent; box-shadow: none; overflow: visible; }
.pl-card .tabitem { padding: 12px 0 0; border: 0; }
.pl-step h3 { margin: 0; font-size: 1.05rem; }
.pl-step p { margin: 1px 0 0; color: var(--body-text-color-subdued); font-size: 0.9rem; }
.pl-note p, .pl-note li { margin: 0; font-size: 0.92rem; }
.pl-error p { margin: 0; padding: 8px 12px; border-left: 4px solid #D55E00; background: rgba(213, 94, 0, 0.10); border-radius: 4px; }
.pl-card .form { border: 0; background: transparent; box-shadow: none; gap: 12px; overflow: visible; }
.pl-table { overflow-x: auto; contain: inline-size; }
.pl-table table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.95rem; }
.pl-table table, .pl-table tr { border: 0 !important; }
.pl-table th { font-weight: 600; color: var(--body-text-color-subdued); font-size: 0.85rem; }
.pl-table th, .pl-table td {
  padding: 7px 10px; text-align: right; white-space: nowrap; border: 0; border-bottom: 1px solid var(--border-color-primary);
}
.pl-table th:first-child, .pl-table td:first-child { text-align: left; padding-left: 0; }
#status { min-height: 1.6em; }
@media (max-width: 760px) {
  .pl-columns { flex-direction: column !important; }
  .pl-columns > .column { min-width: 100% !important; width: 100% !important; }
  .pl-head h1 { font-size: 1.3rem; }
  .column.pl-card { padding: 12px; }
  .gradio-container .main { padding: 10px !important; }
  .gradio-container .wrap, .gradio-container .contain { min-width: 0; max-width: 100%; }
}
"""


def theme() -> gr.themes.Base:
    """Calm and flat; blue and vermilion of the colour-blind-safe palette."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue, neutral_hue=gr.themes.colors.slate, font=list(FONT), font_mono=list(MONO),
        radius_size=gr.themes.sizes.radius_md, spacing_size=gr.themes.sizes.spacing_md, text_size=gr.themes.sizes.text_md,
    ).set(button_primary_background_fill="#0072B2", button_primary_background_fill_hover="#005F96", button_primary_text_color="#FFFFFF",
          button_primary_background_fill_dark="#0072B2", button_primary_background_fill_hover_dark="#2A8CC4",
          body_background_fill="#F6F7F9", block_shadow="none", button_primary_shadow="none", button_secondary_shadow="none")
