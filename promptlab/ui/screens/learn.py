"""The Learn drawer on the right."""

import gradio as gr

from promptlab.ui.handlers import learn
from promptlab.ui.screens.wire import Page


def build(page: Page) -> None:
    pages, methods = learn.menu()
    with gr.Sidebar(open=False, position="right", width=380, elem_id="drawer") as page.c["drawer"]:
        gr.HTML("<div class='pl-brand'><b>Learn</b></div>")
        page["learn_page"] = gr.Dropdown(pages, value=pages[0], label="Page", elem_id="learn_page")
        page["learn_method"] = gr.Dropdown(methods, value=None, label="Method", elem_id="learn_method")
        page["learn"] = gr.HTML(f"<h3>{pages[0]}</h3><p>{learn.PAGES[pages[0]]}</p>", elem_id="learn")


def wire(page: Page) -> None:
    page.on(page["learn_page"].input, learn.page, [page["learn_page"]], ["learn"])
    page.on(page["learn_method"].input, lambda s, m: {"learn": learn.card(s, m)}, [page["learn_method"]], ["learn"])
