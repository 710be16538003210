"""The procedural picture world: sprites on patterned grounds in many styles, with ground truth for everything."""

from promptlab.world.atlas import Atlas, load_atlas
from promptlab.world.captions import STYLE_PHRASES, TEMPLATES
from promptlab.world.render import scene
from promptlab.world.scene import COLOURS, PATTERNS, SEEN_STYLES, STYLES, UNSEEN_STYLES, Plan, Scene
from promptlab.world.tasks import TASKS, WorldTask, task_spec

__all__ = [
           "COLOURS",
           "PATTERNS",
           "SEEN_STYLES",
           "STYLES",
           "STYLE_PHRASES",
           "TASKS",
           "TEMPLATES",
           "UNSEEN_STYLES",
           "Atlas",
           "Plan",
           "Scene",
           "WorldTask",
           "load_atlas",
           "scene",
           "task",
           "task_spec",
]


def task(name: str, style: str = "photo") -> WorldTask:
    """The named task in a style; :func:`promptlab.fit` takes it as data. Both names are checked in one sentence."""
    return task_spec(f"{name}@{style}")
