"""Theme and style sheet: system fonts only, so that the page asks nothing of any other machine. Light, dark, and phone width."""

import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { --pl-line: var(--border-color-primary); --pl-soft: var(--body-text-color-subdued); --pl-blue: #0072B2; --pl-red: #B3470A; }
.dark .gradio-container, .dark.gradio-container, body.dark { --pl-blue: #56B4E9; --pl-red: #F0A070; }
#main { max-width: 1280px; margin: 0 auto; width: 100%; min-width: 0; }
.gradio-container .main { min-width: 0; }
.pl-brand { display: flex; flex-direction: column; line-height: 1.3; padding: 2px 0 6px; }
.pl-brand b { font-size: 1.25rem; letter-spacing: -0.01em; } .pl-brand span { color: var(--pl-soft); font-size: .85rem; }
.pl-note, .pl-note p { color: var(--pl-soft); font-size: .88rem; margin: 4px 0; }
.pl-big { font-size: 1.15rem; margin: 6px 0; }
.column.pl-card, .block.pl-card, div.pl-card {
  border: 1px solid var(--pl-line); border-radius: 10px; padding: 12px; background: var(--block-background-fill); }
.pl-list { margin: 4px 0 4px 1.1em; padding: 0; font-size: .9rem; list-style: disc; } .pl-list li { margin: 2px 0; }
.pl-error { border-left: 4px solid #D55E00; background: rgba(213,94,0,.10); padding: 6px 10px; border-radius: 4px; margin: 6px 0; font-size: .9rem; }
.pl-info { border-left: 4px solid #0072B2; background: rgba(0,114,178,.10); padding: 6px 10px; border-radius: 4px; margin: 6px 0; font-size: .9rem; }
.pl-empty { border: 1px dashed var(--pl-line); border-radius: 10px; padding: 22px 16px; text-align: center; color: var(--pl-soft); }
.pl-done { border: 1px solid var(--pl-line); border-left: 4px solid #009E73; border-radius: 6px; padding: 10px 12px; margin: 6px 0; }
.pl-line { color: var(--pl-soft); font-size: .88rem; border-top: 1px solid var(--pl-line); padding: 8px 0 2px; }
button.pl-b { border: 1px solid var(--pl-line); border-radius: 8px; background: var(--button-secondary-background-fill); padding: 7px 12px;
  font-size: .9rem; color: var(--body-text-color); cursor: pointer; line-height: 1.25; }
button.pl-b:hover { border-color: var(--pl-blue); } button.pl-b:disabled { cursor: not-allowed; opacity: .62; }
button.pl-b:focus-visible, .pl-class input:focus-visible, .pl-split input:focus-visible { outline: 2px solid var(--pl-blue); outline-offset: 2px; }
button.pl-main { background: #0072B2; color: #fff; border-color: #0072B2; } button.pl-small { padding: 2px 8px; font-size: .8rem; }
button.pl-icon { border: 0; background: transparent; padding: 2px 7px; font-size: 1rem; min-width: 26px; }
button.pl-th { border: 0; background: transparent; padding: 0; font-weight: 600; font-size: .85rem; color: var(--pl-soft); white-space: nowrap; }
.pl-runs { list-style: none; margin: 0; padding: 0; } .pl-runs li { display: flex; align-items: center; gap: 6px; padding: 3px 0; font-size: .9rem; }
.pl-name { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .pl-gain { color: var(--pl-soft); font-size: .8rem; }
.pl-runs b { font-variant-numeric: tabular-nums; } .pl-live { color: var(--pl-soft); }
.pl-chip { display: inline-block; width: 11px; height: 11px; border-radius: 50%; flex: none; margin-right: 4px; vertical-align: -1px; }
.pl-board { display: grid; grid-template-columns: repeat(auto-fill, minmax(215px, 1fr)); gap: 10px; }
.pl-class { border: 1px solid var(--pl-line); border-radius: 10px; padding: 10px; background: var(--block-background-fill); min-width: 0;
  display: flex; flex-direction: column; gap: 6px; overflow-wrap: anywhere; }
.pl-class.pl-off { opacity: .5; } .pl-class.pl-over-drop { border-color: var(--pl-blue); border-style: dashed; }
.pl-class input { width: 100%; border: 1px solid var(--pl-line); border-radius: 6px; padding: 5px 8px; background: var(--input-background-fill);
  color: var(--body-text-color); font-weight: 600; min-width: 0; }
.pl-new { align-items: center; justify-content: center; min-height: 110px; border-style: dashed; }
.pl-head2 { display: flex; gap: 4px; } .pl-count { color: var(--pl-soft); font-size: .82rem; }
.pl-fixed { gap: 2px; padding: 8px; }
.pl-thumbs { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; } .pl-thumb { position: relative; display: inline-block; line-height: 0; }
.pl-thumb img { width: 46px; height: 46px; object-fit: cover; border-radius: 5px; margin: 0; }
button.pl-pick { padding: 0; border: 2px solid transparent; background: none; line-height: 0; }
button.pl-pick[aria-pressed=true] { border-color: var(--pl-blue); }
button.pl-x { position: absolute; top: -4px; right: -4px; padding: 0; width: 18px; height: 18px; font-size: 12px; line-height: 15px; border-radius: 50%;
  background: var(--background-fill-primary); } .pl-more { font-size: .8rem; color: var(--pl-soft); }
.pl-twin { display: block; font-size: .66rem; line-height: 1.1; color: var(--pl-red); max-width: 52px; }
.pl-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: 6px; }
button.pl-pic { padding: 4px; display: flex; flex-direction: column; gap: 2px; align-items: center; min-width: 0; }
.pl-pic img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 5px; margin: 0; image-rendering: auto; }
.pl-cap { font-size: .74rem; max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.pl-ok { color: #00795A; font-weight: 700; margin-right: 2px; } .pl-no { color: #C04F00; font-weight: 700; margin-right: 2px; }
body.dark .pl-ok { color: #3DD6A8; } body.dark .pl-no { color: #F0A070; }
.pl-look { width: 160px; max-width: 100%; border-radius: 8px; image-rendering: auto; margin: 0 0 6px; }
.pl-family { margin: 14px 0 6px; font-weight: 650; } .pl-family::first-letter { text-transform: uppercase; }
.pl-family span { color: var(--pl-soft); font-weight: 400; font-size: .85rem; }
.pl-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(285px, 1fr)); gap: 8px; }
.pl-mcard { position: relative; min-width: 0; } .pl-mcard > .pl-icon { position: absolute; top: 4px; right: 4px; color: var(--pl-soft); }
button.pl-method { width: 100%; height: 100%; text-align: left; display: flex; gap: 10px; padding: 10px 30px 10px 10px; align-items: flex-start; }
button.pl-method[aria-pressed=true] { border-color: var(--pl-blue); box-shadow: inset 0 0 0 1px var(--pl-blue); background: rgba(0,114,178,.08); }
button.pl-method[aria-pressed=true] b::before { content: "✓ "; color: var(--pl-blue); }
.pl-cardtext { display: flex; flex-direction: column; gap: 1px; min-width: 0; } .pl-year, .pl-facts { color: var(--pl-soft); font-size: .78rem; }
.pl-diff { font-size: .85rem; } .pl-why { color: var(--pl-red); font-size: .8rem; } .pl-sketch { flex: none; } .pl-svgt { font-size: 8px; text-anchor: middle;
  fill: currentColor; } h3 .pl-sketch { display: inline-block; vertical-align: middle; }
.pl-progress { list-style: none; margin: 4px 0; padding: 0; } .pl-progress li { display: flex; gap: 10px; align-items: center; padding: 4px 0; flex-wrap: wrap; }
.pl-progress span { color: var(--pl-soft); font-size: .88rem; } progress { accent-color: #0072B2; height: 8px; width: 150px; max-width: 30vw; }
.pl-live progress { width: 70px; }
.pl-table { overflow-x: auto; max-width: 100%; contain: inline-size; }
.pl-table table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; border: 0 !important; }
.pl-table tr { border: 0 !important; } .pl-table th { color: var(--pl-soft); font-size: .85rem; font-weight: 600; }
.pl-table th, .pl-table td { padding: 6px 10px !important; text-align: right; border: 0 !important; border-bottom: 1px solid var(--pl-line) !important; }
.pl-table th:first-child, .pl-table td:first-child { text-align: left; white-space: nowrap; }
#learn .pl-table td { text-align: left; } #learn .pl-table td:first-child { color: var(--pl-soft); vertical-align: top; }
.pl-badge { font-size: .74rem; border: 1px solid var(--pl-line); border-radius: 9px; padding: 0 6px; color: var(--pl-soft); white-space: nowrap; }
.pl-bad { color: var(--pl-red); border-color: var(--pl-red); }
.pl-halves { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; } .pl-half { min-width: 0; }
.pl-row { display: flex; gap: 16px; flex-wrap: wrap; align-items: flex-start; } .pl-side { display: flex; gap: 10px; flex-wrap: wrap; }
.pl-side figure { margin: 0; } .pl-side img { width: 136px; border-radius: 8px; margin: 0; } figcaption { font-size: .78rem; color: var(--pl-soft); }
.pl-split { position: relative; width: 288px; max-width: 100%; } .pl-split img { display: block; width: 100%; border-radius: 8px; margin: 0; }
.pl-split .pl-over { position: absolute; inset: 0 0 auto 0; clip-path: inset(0 0 0 var(--at)); }
.pl-split input { width: 100%; margin-top: 8px; } .pl-tag { position: absolute; top: 6px; background: rgba(0,0,0,.62); color: #fff; font-size: .75rem;
  padding: 1px 7px; border-radius: 8px; } .pl-l { left: 6px; } .pl-r { right: 6px; }
.pl-chartbox { min-width: 0; overflow: hidden; } .pl-chart { width: 100%; } .pl-nochart { display: none; }
.pl-doc { white-space: pre-wrap; font-size: .8rem; background: var(--background-fill-secondary); padding: 10px; border-radius: 8px; overflow-wrap: anywhere; }
#main .form { border: 0; background: transparent; box-shadow: none; gap: 10px; } #main .block.padded:not(.pl-card) { border-width: 0; }
#shots_said, #progress, #zero_said { font-size: .95rem; }
@media (max-width: 760px) {
  .pl-columns { flex-direction: column !important; } .pl-columns > * { min-width: 100% !important; width: 100% !important; }
  .pl-halves { grid-template-columns: 1fr; } .gradio-container .main, .gradio-container main { padding: 10px !important; }
  .pl-board { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); } .pl-cards { grid-template-columns: 1fr; }
  .pl-table th, .pl-table td { padding: 5px 7px !important; font-size: .85rem; }
}
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
"""


def theme() -> gr.themes.Base:
    """Calm and flat; blue and vermilion of the colour-blind-safe palette."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue, neutral_hue=gr.themes.colors.slate, font=list(FONT), font_mono=list(MONO),
        radius_size=gr.themes.sizes.radius_md, spacing_size=gr.themes.sizes.spacing_md, text_size=gr.themes.sizes.text_md,
    ).set(button_primary_background_fill="#0072B2", button_primary_background_fill_hover="#005F96", button_primary_text_color="#FFFFFF",
          button_primary_background_fill_dark="#0072B2", button_primary_background_fill_hover_dark="#2A8CC4",
          body_background_fill="#F6F7F9", block_shadow="none", button_primary_shadow="none", button_secondary_shadow="none")
