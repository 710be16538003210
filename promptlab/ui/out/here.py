"""The state of a notebook's project on the page: its backbone, its shots, its runs."""

from typing import Any

from promptlab.errors import BadData
from promptlab.jobs import Live
from promptlab.ui import core
from promptlab.ui.handlers import shots
from promptlab.ui.session import Session, Ticket

ALL = 1 << 30


def begin(session: Session, project: Any) -> None:
    """Fill a new session with the project; one sentence where its shots are drawn by another protocol than the page's."""
    task = project.task
    if task.protocol != "few_shot":
        raise BadData(f"the page draws shots by few_shot, and this project by {task.protocol}; open its shots as few_shot for the app.")
    name = project.clip.name + (f":{project.clip.tag}" if project.clip.tag else "")
    session.given[name] = project.clip
    session.settings.update(backbone=name, seed=project.seed, name=project.name)
    shots.put(session, core.Opened(task.data, task.shots, project.seed, project.spec, project.name, ALL))
    for run in project.runs:
        if run.key != "zero_shot":
            live = Live(run.method.card.name).read(run.events)
            session.tickets.append(Ticket(run.id, run.key, int(run.meta["seed"]), "compare", None, {"live": live}, run))
