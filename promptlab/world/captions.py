"""Pictures in words: true captions of known facts, and captions that are false in exactly one fact."""

from dataclasses import dataclass, replace
from random import Random

from promptlab.world.scene import COLOURS, PATTERNS, SEEN_STYLES

TEMPLATES = [
    "a photo of a {}.", "a picture of a {}.", "an image of a {}.", "a {}.", "this is a {}.", "there is a {} here.",
    "a close-up photo of a {}.", "{}",
]
STYLE_PHRASES = {
    "photo": ["a photo of {}", "a picture of {}", "an image of {}"],
    "poster": ["a poster of {}", "a poster showing {}"],
    "blurry": ["a blurry photo of {}", "a blurry picture of {}"],
    "night": ["a photo of {} at night", "a dark photo of {}"],
    "foggy": ["a foggy photo of {}", "a photo of {} in the fog"],
    "vintage": ["a vintage photo of {}", "an old photo of {}"],
    "pixel-art": ["a pixel art picture of {}"],
    "sketch": ["a sketch of {}"],
    "grayscale": ["a grayscale photo of {}"],
    "embroidery": ["an embroidery of {}"],
    "thermal": ["a thermal picture of {}"],
}
PLACES = ["{} on {} background", "{} in front of {} background", "{} on {}"]


@dataclass(frozen=True)
class Facts:
    """What captions speak of: object names, style, pattern and colour of the background, size word of a single object (or "")."""

    names: tuple[str, ...]
    style: str
    pattern: str
    colour: str
    size: str = ""


def with_article(words: str) -> str:
    """'an owl', 'a fox', 'the sun'; plural names stay bare."""
    head = words.split(" with ")[0].split(" of ")[0].split()[-1]
    if head.endswith("s") and not head.endswith(("ss", "us", "is", "ess")):
        return words
    return ("an " if words[0] in "aeiou" else "a ") + words


def size_word(size: float) -> str:
    """The word for the side of a single object as a share of the picture; "" in between."""
    return "small" if size < 0.55 else "large" if size > 0.85 else ""


def things(facts: Facts, say_size: bool) -> str:
    """'a small fox', or 'a fox, a banana and an owl'."""
    if len(facts.names) == 1 and say_size and facts.size:
        return f"a {facts.size} {facts.names[0]}"
    names = [with_article(name) for name in facts.names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def caption(facts: Facts, *, style: bool, place: int, size: bool = False, variant: int = 0) -> str:
    """A caption that mentions the style, the background (place: 0 no, 1 the colour, 2 the pattern, 3 both) and the size if asked."""
    words = " ".join(w for w in (facts.pattern if place & 2 else "", facts.colour if place & 1 else "") if w)
    if not facts.names:
        text = with_article(words or facts.colour) + " background"
    else:
        text = things(facts, size)
        if words:
            form = PLACES[variant % (2 if place & 2 else 3)]
            text = form.format(text, words if form == PLACES[2] else with_article(words))
    if style:
        phrases = STYLE_PHRASES[facts.style]
        text = phrases[variant % len(phrases)].format(text)
    return text


def full_caption(facts: Facts) -> str:
    """The caption with everything in it (what tasks attach to each picture)."""
    return caption(facts, style=True, place=3, size=True)


def random_caption(facts: Facts, rng: Random) -> str:
    """A training caption: half the time a bare template around the name, else with style, background and size now and then."""
    if len(facts.names) == 1 and rng.random() < 0.5:
        return rng.choice(TEMPLATES).format(facts.names[0])
    place = rng.choice((0, 1, 1, 2, 3, 3)) if facts.names else 3
    return caption(facts, style=rng.random() < 0.5, place=place, size=rng.random() < 0.3, variant=rng.randrange(6))


def false_caption(facts: Facts, rng: Random) -> str:
    """The same objects with one fact changed that the caption mentions: colour, pattern or style."""
    what = rng.choice(("colour", "pattern", "style"))
    if what == "colour":
        facts, place = replace(facts, colour=rng.choice([c for c in COLOURS if c != facts.colour])), rng.choice((1, 3))
    elif what == "pattern":
        facts, place = replace(facts, pattern=rng.choice([p for p in PATTERNS if p != facts.pattern])), rng.choice((2, 3))
    else:
        facts, place = replace(facts, style=rng.choice([s for s in SEEN_STYLES if s != facts.style])), rng.choice((0, 1, 3))
    style = what == "style" or rng.random() < 0.4
    return caption(facts, style=style, place=place, variant=rng.randrange(6))
