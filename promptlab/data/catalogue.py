"""The eleven data sets of the CoOp family and ImageNet's variants: where their files lie, their templates, and their class names.

Folders, split files and names as in ``KaiyangZhou/CoOp: DATASETS.md, datasets/*.py``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from promptlab.data.classes import ClassSet
from promptlab.data.templates import ENSEMBLE7

PLAIN = "a photo of a {}."
CALTECH = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}
EUROSAT = {
    "AnnualCrop": "Annual Crop Land", "Forest": "Forest", "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road", "Industrial": "Industrial Buildings", "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land", "Residential": "Residential Buildings", "River": "River", "SeaLake": "Sea or Lake",
}


def same(name: str) -> str:
    return name


def year_first(name: str) -> str:
    """"Audi TT 2011" → "2011 Audi TT"."""
    words = name.split()
    return " ".join([words[-1], *words[:-1]]) if re.fullmatch(r"(19|20)\d\d", words[-1]) else name


def place_first(name: str) -> str:
    """SUN397's "c/church/indoor" → "indoor church"."""
    parts = name.strip("/").split("/")
    parts = parts[1:] if len(parts[0]) == 1 else parts
    return " ".join(reversed(parts))


def uncamel(name: str) -> str:
    """"ApplyEyeMakeup" → "Apply_Eye_Makeup"."""
    return "_".join(re.findall("[A-Z][^A-Z]*", name)) if re.fullmatch("([A-Z][^A-Z_ ]*)+", name) else name


@dataclass(frozen=True)
class Entry:
    """``key``: our name; ``folder``, ``split``, ``images``: the published layout; ``tidy``: raw class name → name in prompts
    (names that are tidy already stay as they are); ``ignored``: class folders that are left out; ``foldered``: the pictures
    lie in class folders, so that they can be opened without the split file."""

    key: str
    title: str
    folder: str
    split: str
    images: str
    classes: int
    template: str = PLAIN
    topic: str = ""
    tidy: Callable[[str], str] = same
    ignored: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    foldered: bool = False

    def class_set(self, names: Sequence[str]) -> ClassSet:
        """Tidy names with the data set's templates, the hand-written one first."""
        return ClassSet(tuple(self.tidy(n) for n in names), (self.template, *self.more), topic=self.topic)


ENTRIES = (
    Entry("imagenet", "ImageNet", "imagenet", "", "images", 1000, more=ENSEMBLE7),
    Entry("caltech101", "Caltech101", "caltech-101", "split_zhou_Caltech101.json", "101_ObjectCategories", 100,
          tidy=lambda n: CALTECH.get(n, n), ignored=("BACKGROUND_Google", "Faces_easy"), foldered=True),
    Entry("oxford_pets", "OxfordPets", "oxford_pets", "split_zhou_OxfordPets.json", "images", 37,
          "a photo of a {}, a type of pet.", "pet", str.lower),
    Entry("stanford_cars", "StanfordCars", "stanford_cars", "split_zhou_StanfordCars.json", "", 196, topic="car", tidy=year_first),
    Entry("oxford_flowers", "Flowers102", "oxford_flowers", "split_zhou_OxfordFlowers.json", "jpg", 102,
          "a photo of a {}, a type of flower.", "flower"),
    Entry("food101", "Food101", "food-101", "split_zhou_Food101.json", "images", 101, "a photo of {}, a type of food.", "food",
          foldered=True),
    Entry("fgvc_aircraft", "FGVCAircraft", "fgvc_aircraft", "", "images", 100, "a photo of a {}, a type of aircraft.", "aircraft"),
    Entry("sun397", "SUN397", "sun397", "split_zhou_SUN397.json", "SUN397", 397, topic="scene", tidy=place_first),
    Entry("dtd", "DescribableTextures", "dtd", "split_zhou_DescribableTextures.json", "images", 47, "{} texture.", "texture",
          foldered=True),
    Entry("eurosat", "EuroSAT", "eurosat", "split_zhou_EuroSAT.json", "2750", 10, "a centered satellite photo of {}.", "land use",
          lambda n: EUROSAT.get(n, n), foldered=True),
    Entry("ucf101", "UCF101", "ucf101", "split_zhou_UCF101.json", "UCF-101-midframes", 101,
          "a photo of a person doing {}.", "action", uncamel, foldered=True),
)


@dataclass(frozen=True)
class Shift:
    """A test set over ImageNet's names: ``images`` holds a folder a class, called by WordNet id, or by label ("0".."999")."""

    key: str
    folder: str
    images: str
    classes: int
    by_label: bool = False


SHIFTS = (
    Shift("imagenetv2", "imagenetv2", "imagenetv2-matched-frequency-format-val", 1000, by_label=True),
    Shift("imagenet_sketch", "imagenet-sketch", "images", 1000),
    Shift("imagenet_a", "imagenet-adversarial", "imagenet-a", 200),
    Shift("imagenet_r", "imagenet-rendition", "imagenet-r", 200),
)


def by_split(file_name: str) -> Entry | None:
    """The entry whose split file has this name."""
    return next((e for e in ENTRIES if e.split and e.split.lower() == file_name.lower()), None)


def by_name(name: str) -> Entry | None:
    """The entry with this key, title or folder name, whatever its case and punctuation."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((e for e in ENTRIES if bare in {re.sub(r"[^a-z0-9]", "", n.lower()) for n in (e.key, e.title, e.folder)}), None)
