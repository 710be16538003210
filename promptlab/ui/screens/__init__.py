"""The screens in gradio: components and their wiring, and nothing else. What they do is in :mod:`promptlab.ui.handlers`."""
