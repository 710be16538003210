from promptlab.ui import build_app, launch

launch(build_app())
