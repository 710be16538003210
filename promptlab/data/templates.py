"""Template lists that several methods read: the sentences around a class name, as data."""

from promptlab.data.classes import ClassSet
from promptlab.errors import BadHyper

SIMPLE = ("a photo of a {}.",)

ENSEMBLE7 = (  # the seven that CLIP's authors selected for ImageNet
    "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game.",
    "art of the {}.", "a photo of the small {}.",
)

ENSEMBLE80 = (  # all that CLIP's authors used for ImageNet
    "a bad photo of a {}.", "a photo of many {}.", "a sculpture of a {}.", "a photo of the hard to see {}.",
    "a low resolution photo of the {}.", "a rendering of a {}.", "graffiti of a {}.", "a bad photo of the {}.",
    "a cropped photo of the {}.", "a tattoo of a {}.", "the embroidered {}.", "a photo of a hard to see {}.", "a bright photo of a {}.",
    "a photo of a clean {}.", "a photo of a dirty {}.", "a dark photo of the {}.", "a drawing of a {}.", "a photo of my {}.",
    "the plastic {}.", "a photo of the cool {}.", "a close-up photo of a {}.", "a black and white photo of the {}.",
    "a painting of the {}.", "a painting of a {}.", "a pixelated photo of the {}.", "a sculpture of the {}.",
    "a bright photo of the {}.", "a cropped photo of a {}.", "a plastic {}.", "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.", "a blurry photo of the {}.", "a photo of the {}.", "a good photo of the {}.",
    "a rendering of the {}.", "a {} in a video game.", "a photo of one {}.", "a doodle of a {}.", "a close-up photo of the {}.",
    "a photo of a {}.", "the origami {}.", "the {} in a video game.", "a sketch of a {}.", "a doodle of the {}.", "a origami {}.",
    "a low resolution photo of a {}.", "the toy {}.", "a rendition of the {}.", "a photo of the clean {}.", "a photo of a large {}.",
    "a rendition of a {}.", "a photo of a nice {}.", "a photo of a weird {}.", "a blurry photo of a {}.", "a cartoon {}.",
    "art of a {}.", "a sketch of the {}.", "a embroidered {}.", "a pixelated photo of a {}.", "itap of the {}.",
    "a jpeg corrupted photo of the {}.", "a good photo of a {}.", "a plushie {}.", "a photo of the nice {}.", "a photo of the small {}.",
    "a photo of the weird {}.", "the cartoon {}.", "art of the {}.", "a drawing of the {}.", "a photo of the large {}.",
    "a black and white photo of a {}.", "the plushie {}.", "a dark photo of a {}.", "itap of a {}.", "graffiti of the {}.", "a toy {}.",
    "itap of my {}.", "a photo of a cool {}.", "a photo of a small {}.", "a tattoo of the {}.",
)

ENSEMBLE60 = ENSEMBLE80[:60]  # those that PromptSRC's code holds

LASP35 = (  # what LASP reads its prompts back with; one stands twice, as in its configurations
    "a photo of a {}, a type of flower.", "a photo of a person doing {}.", "a centered satellite photo of {}.",
    "a photo of a {}, a type of aircraft.", "{} texture.", *ENSEMBLE7, *SIMPLE, "a photo of many {}.", "a photo of the hard to see {}.",
    "a low resolution photo of the {}.", "a rendering of a {}.", "a bad photo of the {}.", "a cropped photo of the {}.",
    "a pixelated photo of the {}.", "a bright photo of the {}.", "a cropped photo of a {}.", "a photo of the {}.",
    "a good photo of the {}.", "a rendering of the {}.", "a close-up photo of the {}.", "a low resolution photo of a {}.",
    "a rendition of the {}.", "a photo of the clean {}.", "a photo of a large {}.", "a blurry photo of a {}.",
    "a pixelated photo of a {}.", "itap of the {}.", "a jpeg corrupted photo of the {}.", "a good photo of a {}.",
)

SCENE5 = (  # what MaskCLIP adds for pictures of several things
    "there is a {} in the scene.", "there is the {} in the scene.", "this is a {} in the scene.", "this is the {} in the scene.",
    "this is one {} in the scene.",
)

SETS = ("dataset", "dataset-all", "simple", "ensemble7", "ensemble60", "ensemble80", "ensemble85")


def template_set(key: str, names: ClassSet) -> tuple[str, ...]:
    """The templates of a key: "dataset" is the class set's first one, "dataset-all" all of them."""
    known = {"dataset": names.templates[:1], "dataset-all": names.templates, "simple": SIMPLE, "ensemble7": ENSEMBLE7,
             "ensemble60": ENSEMBLE60, "ensemble80": ENSEMBLE80, "ensemble85": ENSEMBLE80 + SCENE5}
    if key not in known:
        raise BadHyper(f"there are no templates '{key}'; choose one of {', '.join(known)}.")
    return tuple(known[key])
