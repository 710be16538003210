"""Docstrings write roles such as :func:`promptlab.fit`; the site shows the name."""

import re

import griffe


class Roles(griffe.Extension):
    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", obj.docstring.value)
