"""Faults that tests put into methods."""


def memory_ends(monkeypatch, cls, call, error=None):
    """The ``call``-th loss of a method fails for want of memory; those before and after it work."""
    loss, calls = cls.loss, []

    def greedy(self, out, batch):
        calls.append(1)
        if len(calls) == call:
            raise error or MemoryError
        return loss(self, out, batch)

    monkeypatch.setattr(cls, "loss", greedy)
