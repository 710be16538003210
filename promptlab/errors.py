"""The error family: every message is one sentence that says who, what came, what is allowed and what to do."""


class PromptlabError(Exception):
    """Base of all errors that a user of promptlab is meant to read."""


class BadHyper(PromptlabError):
    """A hyper-parameter is unknown or outside its range."""


class NoSuchPoint(PromptlabError):
    """An edit or a tap names a point that the tower does not have."""


class BackboneLacks(PromptlabError):
    """The backbone (or its download) does not offer what was asked of it."""


class WrongKind(PromptlabError):
    """A method was given a task of a kind that it does not handle."""


class ClosedVocabulary(PromptlabError):
    """A method whose learnables are tied to its class names was asked for other names."""


class NotFitted(PromptlabError):
    """A method whose state is born in ``fit`` was used before."""


class BadData(PromptlabError):
    """Input files, arrays or names cannot be used."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory is what was missing: Python's own error, or torch's, of a GPU or of the processor's allocator."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and ("out of memory" in said or "allocate memory" in said))
