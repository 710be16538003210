"""Class names and the sentences around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from promptlab.errors import BadData


@dataclass(frozen=True)
class ClassSet:
    """Class names in label order, the dataset's hand-written templates (each with ``{}``), and optional side knowledge.

    ``descriptions``: class → sentences. ``tree``: class → ancestors, nearest first. ``topic``: what the classes are ("pet").
    """

    names: tuple[str, ...]
    templates: tuple[str, ...] = ("a photo of a {}.",)
    descriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tree: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    topic: str = ""

    def __post_init__(self) -> None:
        if not self.names:
            raise BadData("a class set needs at least one class name; got none.")
        if len(set(self.names)) != len(self.names):
            twice = sorted({n for n in self.names if self.names.count(n) > 1})
            raise BadData(f"class names must differ; '{twice[0]}' is there twice, so rename or merge it.")
        for t in self.templates:
            if t.count("{}") != 1:
                raise BadData(f"a template must hold the name's place {{}} exactly once; got {t!r}.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def clean(self) -> tuple[str, ...]:
        """Names as they are put in prompts: underscores read as spaces."""
        return tuple(n.replace("_", " ") for n in self.names)

    def prompts(self, template: str | None = None) -> list[str]:
        """One sentence a class with the given (default: first) template."""
        return [(template or self.templates[0]).format(n) for n in self.clean]

    def subset(self, index: Sequence[int]) -> "ClassSet":
        """The class set of the given labels, in that order."""
        return replace(self, names=tuple(self.names[i] for i in index))
