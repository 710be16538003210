"""The class tree of the world's tasks: Unicode's groups and subgroups, and families of mammals (there are too many of these)."""

from promptlab.world.atlas import load_atlas

MAMMALS = {
    "cat family": ("tiger face", "leopard", "cat face", "tiger", "lion", "cat"),
    "dog family": ("fox", "wolf", "dog face", "dog", "poodle", "guide dog"),
    "hoofed animal": ("cow face", "donkey", "camel", "giraffe", "pig face", "deer", "horse", "llama", "elephant"),
    "ape": ("monkey", "gorilla", "monkey face", "orangutan"),
    "small mammal": ("raccoon", "hedgehog", "hamster", "badger", "otter", "rabbit face", "kangaroo", "panda"),
}
RENAMED = {"transport ground": "land vehicle", "transport air": "aircraft", "transport water": "watercraft", "reptile": "reptile",
           "prepared": "prepared food", "asian": "asian food", "sweet": "sweet food", "marine": "sea animal"}


def ancestors(names: list[str]) -> dict[str, tuple[str, ...]]:
    """Name → ancestors, nearest first, for the names that are sprites; a node never has the name of a class."""
    atlas = load_atlas()
    family = {member: name for name, members in MAMMALS.items() for member in members}
    found = {}
    for name in names:
        if name not in atlas.names:
            continue
        i = atlas.index(name)
        sub = atlas.subgroups[i].replace("-", " ")
        for lead in ("animal ", "food "):
            sub = sub.removeprefix(lead)
        path = ([family[name]] if sub == "mammal" and name in family else []) + [RENAMED.get(sub, sub), atlas.groups[i].lower()]
        found[name] = tuple(p for p in path if p not in names)
    return found
