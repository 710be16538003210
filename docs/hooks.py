"""mkdocs hooks: generated pages and navigation, outputs of the notebooks, pictures that lie outside ``docs``."""

import re
from pathlib import Path

import nbformat
from mkdocs.structure.files import File

from promptlab import docs_site

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "notebooks"
OUTPUTS: dict[str, str] = {}


def notebooks():
    """(name, notebook) of every source: executed where it was built, else without outputs."""
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py")):
        built = BUILT / f"{path.stem}.ipynb"
        if built.is_file():
            yield path.stem, nbformat.read(built, 4)
        else:
            import jupytext

            yield path.stem, jupytext.read(path, fmt="py:percent")


def title_of(notebook):
    return re.match(r"# (.*)", notebook.cells[0].source).group(1)


def on_config(config):
    """The generated parts stand behind the guides in the navigation."""
    listed = [(title_of(nb), f"tutorials/{name}.md") for name, nb in notebooks()]
    course, methods, reference = docs_site.navigation(listed)
    place = next(i for i, entry in enumerate(config.nav) if "Guides" in entry)
    config.nav = [*config.nav[:place], course, config.nav[place], methods, *config.nav[place + 1 :], reference]
    return config


def on_files(files, config):
    for uri, text in docs_site.pages(ROOT).items():
        files.append(File.generated(config, uri, content=text))
    for name, notebook in notebooks():
        text, outputs = docs_site.tutorial(notebook, name)
        OUTPUTS.update(outputs)
        files.append(File.generated(config, f"tutorials/{name}.md", content=text))
    for picture in sorted((ROOT / "assets" / "gallery").glob("*.*")):
        files.append(File.generated(config, f"gallery/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links that are right beside the sources, made right on the site."""
    text = markdown.replace("](../assets/gallery/", "](gallery/")
    if "/" in page.file.src_uri:
        return text
    return re.sub(r"\]\((?:docs/)?(\w+)\.md\)", lambda m: f"]({m.group(1).lower()}.md)", text)


def on_page_content(html, page, config, files):
    """Outputs of cells, put in after Markdown so that it does not read them."""
    def put(found):
        return f'<div class="nb-output">{OUTPUTS.get(found.group(1), "")}</div>'

    return re.sub(r'<div class="nb-output" id="([\w-]+)"></div>', put, html)
