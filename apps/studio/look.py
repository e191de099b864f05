"""How the page looks: a theme whose fonts are the reader's own, and the few rules that the theme cannot say."""

import gradio as gr

_TEXT = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
_CODE = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]

THEME = gr.themes.Soft(primary_hue="indigo", neutral_hue="slate", font=_TEXT, font_mono=_CODE)

CSS = """
.gradio-container { width: 100% !important; max-width: 1240px !important; margin: 0 auto !important; }
.masthead h1 { font-size: 1.5rem; font-weight: 650; margin: 0; }
.masthead p { margin: 0.15rem 0 0; color: var(--body-text-color-subdued); }
.pixels img, .pixels canvas { image-rendering: pixelated; }
.pixels .grid-wrap { max-height: none; }
.pixels .thumbnail-item { max-height: 420px; }
#latents-channels, #latents-channels * { min-height: 0; }
#latents-channels .grid-wrap { height: auto; }
.enlarged .image-frame, #latents-channels, #latents-channels * { min-height: 0; }
#latents-channels .grid-wrap { height: auto; }
.enlarged .image-frame img, .enlarged img { width: 100%; height: 100%; object-fit: contain; }
.preview { display: flex; align-items: center; justify-content: center; min-height: 256px;
  border: 1px dashed var(--border-color-primary); border-radius: var(--block-radius);
  background: var(--background-fill-secondary); color: var(--body-text-color-subdued); text-align: center; }
.preview img { width: min(100%, 384px); image-rendering: auto; border-radius: 4px; }
.preview p { max-width: 32ch; margin: 1rem; }
.status { min-height: 1.5rem; color: var(--body-text-color-subdued); font-size: 0.9rem; overflow-wrap: anywhere; }
.status strong { color: var(--body-text-color); }
.status ul { margin: 0.25rem 0 0; padding-left: 1.2rem; list-style: disc; }
.facts { overflow-x: auto; }
.facts table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
.facts table, .facts tr, .facts th, .facts td { border: 0 solid var(--border-color-primary) !important; }
.facts th, .facts td { text-align: left; padding: 0.3rem 0.6rem; border-bottom-width: 1px !important;
  vertical-align: top; overflow-wrap: break-word; }
.facts th { font-weight: 600; }
.scrub { display: grid; gap: 0.5rem; justify-items: center; }
.scrub .frame { image-rendering: pixelated; background-repeat: no-repeat; border-radius: 4px; }
.scrub input[type=range] { width: min(100%, 384px); accent-color: var(--color-accent); }
.scrub output { font-size: 0.9rem; color: var(--body-text-color-subdued); }
.tight { gap: 0.5rem; }
footer { opacity: 0.75; }
@media (max-width: 640px) {
  .gradio-container { padding: 0.5rem !important; }
  .masthead h1 { font-size: 1.2rem; }
}
"""
