"""The shot doctor: what is worth a look before training."""

from collections import Counter

from promptlab.ui import core, says
from promptlab.ui.draft import Draft
from promptlab.ui.pieces import listed, note
from promptlab.ui.session import Session

SURE = 0.9  # zero-shot disagrees strongly with a label from this probability on
TWIN = 0.995  # cosine of two pictures that are nearly the same


def show(session: Session) -> str:
    """What is worth a look before training: too few, imbalance, twins, unreadable files, labels that zero-shot doubts."""
    found = ([] if session.data is not None else _doctor_cards(session.draft)) + _doctor_open(session)
    if not found:
        healthy = session.data is not None or session.draft.problem() is None
        return note("The shot doctor finds nothing to mend." if healthy else "The shot doctor looks at your pictures as they come in.")
    return "<b>Shot doctor</b>" + listed(found)


def _doctor_cards(draft: Draft) -> list[str]:
    used = draft.used
    found = [says.fewer(c.name or f"class {i}", len(c.shots)) for i, c in enumerate(used, 1) if len(c.shots) < 2]
    found += [f"Class '{c.name}' has {len(c.shots)} of {says.SUGGESTED} suggested pictures." for c in used if 2 <= len(c.shots) < 4][:4]
    counts = Counter({c.name: len(c.shots) for c in used if c.shots})
    if len(counts) > 1 and max(counts.values()) > 3 * min(counts.values()):
        most, least = max(counts, key=counts.get), min(counts, key=counts.get)
        found.append(f"'{most}' has {counts[most]} pictures and '{least}' {counts[least]}: the larger class will be favoured.")
    found += [
        f"The same picture is in {' and '.join(repr(c.name) for c in cards[:2])}: remove or move one."
        for cards in list(draft.twins().values())[:4]
    ]
    bad = sum(len(c.problems) for c in used)
    return found + ([f"{says.count(bad, 'file')} could not be used; the cards say which."] if bad else [])


def _doctor_open(session: Session) -> list[str]:
    if session.data is None or session.zero is None:
        return []
    d, clip = session.data, core.backbone(session)
    support = d.episode.support
    image = core.encode(clip, support)
    text = clip.zero_shot(d.data.classes.clean, d.data.classes.templates[:1]).cpu()
    p = (float(clip.scale) * image @ text.T).softmax(-1)
    doubted: Counter[tuple[str, str]] = Counter()
    for i, label in enumerate(support.targets.tolist()):
        best = int(p[i].argmax())
        if best != label and float(p[i, best]) > SURE:
            who = "" if d.spec else support.source.name(support.rows[i])
            doubted[who, f"labelled '{d.names[label]}', zero-shot is sure of '{d.names[best]}'."] += 1
    found = [f"{who or says.count(n, 'shot')}: {said}" for (who, said), n in doubted.most_common()]
    if d.test is not None:
        near = (core.encode(clip, d.test) @ image.T).amax(1)
        twins = int((near > TWIN).sum())
        if twins:
            found.append(f"{says.count(twins, 'held-out picture')} nearly equal a shot (cosine above {TWIN}): the accuracy will flatter.")
    return found[:6] + ([f"and {len(found) - 6} more."] if len(found) > 6 else [])
