"""Theme and style sheet: system fonts only, so that the page asks nothing of any other machine."""

import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { max-width: 1320px !important; margin: 0 auto !important; }
.pl-head h1 { margin: 0; font-size: 1.5rem; letter-spacing: -0.02em; }
.pl-head p { margin: 2px 0 0; color: var(--body-text-color-subdued); }
.pl-step h3 { margin: 0 0 2px; font-size: 1.02rem; }
.pl-step p { margin: 0; color: var(--body-text-color-subdued); font-size: 0.88rem; }
.pl-card {
  border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 14px !important;
  background: var(--block-background-fill);
}
.pl-note p { margin: 0; font-size: 0.92rem; }
.pl-error p { margin: 0; padding: 8px 12px; border-left: 4px solid #D55E00; background: rgba(213, 94, 0, 0.10); border-radius: 4px; }
.pl-plain { padding: 0 !important; border: 0 !important; }
.pl-table table { font-variant-numeric: tabular-nums; }
@media (max-width: 760px) {
  .pl-columns { flex-direction: column !important; }
  .pl-columns > .column { min-width: 100% !important; width: 100% !important; }
  .pl-head h1 { font-size: 1.25rem; }
}
"""


def theme() -> gr.themes.Base:
    """Calm and flat; blue and vermilion of the colour-blind-safe palette."""
    return gr.themes.Soft(
        primary_hue=gr.themes.colors.blue, neutral_hue=gr.themes.colors.slate, font=list(FONT), font_mono=list(MONO),
        radius_size=gr.themes.sizes.radius_md, spacing_size=gr.themes.sizes.spacing_md, text_size=gr.themes.sizes.text_md,
    ).set(button_primary_background_fill="#0072B2", button_primary_background_fill_hover="#005F96", button_primary_text_color="#FFFFFF",
          button_primary_background_fill_dark="#0072B2", button_primary_background_fill_hover_dark="#2A8CC4",
          body_background_fill="#F6F7F9", block_shadow="none", button_primary_shadow="none", button_secondary_shadow="none")
