"""Theme and style sheet: system fonts only, so that the page asks nothing of any other machine. Light, dark, and phone width."""

from pathlib import Path

import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

HERE = Path(__file__).parent
CSS = (HERE / "page.css").read_text(encoding="utf-8")
HEAD = f"<style>{(HERE / 'frame.css').read_text(encoding='utf-8')}</style>"


def theme() -> gr.themes.Base:
    """Calm and flat; blue and vermilion of the colour-blind-safe palette."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue, neutral_hue=gr.themes.colors.slate, font=list(FONT), font_mono=list(MONO),
        radius_size=gr.themes.sizes.radius_md, spacing_size=gr.themes.sizes.spacing_md, text_size=gr.themes.sizes.text_md,
    ).set(button_primary_background_fill="#0072B2", button_primary_background_fill_hover="#005F96", button_primary_text_color="#FFFFFF",
          button_primary_background_fill_dark="#0072B2", button_primary_background_fill_hover_dark="#2A8CC4",
          body_background_fill="#F6F7F9", body_text_color_subdued="#566274", body_text_color_subdued_dark="#A3AEBF",
          block_shadow="none", button_primary_shadow="none", button_secondary_shadow="none")
