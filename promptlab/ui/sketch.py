"""A small drawing of the two towers with the place where a method's parameters sit, chosen by its family."""

PLACES = {"text prompt": ("ti",), "visual prompt": ("ii",), "text-visual prompt": ("ti", "ii"), "adapter": ("out",), "other": ("it", "tt")}
SHAPES = {"ii": (4, 30, 8, 14), "ti": (4, 8, 8, 14), "it": (16, 26, 24, 22), "tt": (16, 4, 24, 22), "out": (44, 17, 12, 18)}


def sketch(family: str) -> str:
    """SVG: text tower above, image tower below, their meeting on the right; coloured where something is learned."""
    lit = PLACES.get(family, ())
    parts = []
    for key in ("it", "tt", "ii", "ti", "out"):
        x, y, w, h = SHAPES[key]
        if key in ("it", "tt") or key in lit:
            style = "fill:#D55E00" if key in lit else "fill:none;stroke:currentColor;opacity:.55"
            parts.append(f"<rect x='{x}' y='{y}' width='{w}' height='{h}' rx='3' style='{style}'/>")
    lines = "<path d='M12 15h4M12 37h4M40 15l6 8M40 37l6-8' style='stroke:currentColor;fill:none;opacity:.55'/>"
    words = "<text x='28' y='18' class='pl-svgt'>text</text><text x='28' y='40' class='pl-svgt'>image</text>"
    return f"<svg class='pl-sketch' viewBox='0 0 60 52' width='60' height='52' aria-hidden='true'>{lines}{''.join(parts)}{words}</svg>"
