"""A project in a notebook: the app's six verbs (add, zero_shot, fit, compare, inspect, predict) over one set of shots and one backbone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlab import api
from promptlab.answers import Table
from promptlab.card import auto_preset
from promptlab.compare import Comparison
from promptlab.create import method_class
from promptlab.data import sources
from promptlab.data.dataset import DataSet
from promptlab.errors import BadData
from promptlab.runs import Run
from promptlab.shots import DEFAULT_SHOTS, Shots


class Project:
    """Shots, a backbone and the runs made with them.

    ``data``: what :func:`promptlab.open_data` takes, what it returns, or None to begin empty and :meth:`add` pictures. ``clip``: a backbone
    or its name ("pocket", "ViT-B-16:openai"). ``shots`` a class (None: all), drawn with ``seed``. Methods take their ``demo`` preset on
    pocket and the paper's values elsewhere. :meth:`add` and :meth:`fit` return the project, so that they chain; it shows itself as the
    comparison of its runs.
    """

    def __init__(self, data: Any = None, clip: Any = "pocket", *, shots: int | None = DEFAULT_SHOTS, seed: int = 1,
                 store: str | Path = api.STORE, name: str = "My project"):
        self.clip = api.load(clip) if isinstance(clip, str) else clip
        self.seed, self.store, self.name = seed, store, name
        self._spec = data if isinstance(data, str) and data.startswith("world:") else None
        self._own: dict[str, list[Any]] = {}
        self._shots = data if data is None or isinstance(data, Shots) else Shots(sources.open_data(data), shots, seed)
        self._wanted = shots
        self._runs: dict[str, Run] = {}

    @classmethod
    def from_folder(cls, path: str | Path, clip: Any = "pocket", **options: Any) -> "Project":
        """A project on a folder with one folder of pictures a class."""
        return cls(sources.folder(path), clip, **{"name": Path(path).name, **options})

    def add(self, pictures: Any, name: str) -> "Project":
        """More pictures of the class ``name`` (new or there already): a path, a Pillow image, an array, or a list of them.

        Runs on the earlier shots leave the project, as they are not comparable; they stay in the store."""
        found = list(pictures) if isinstance(pictures, Sequence | set) and not isinstance(pictures, str) else [pictures]
        if not found or not name.strip():
            raise BadData("add takes at least one picture and a class name, as in add('cat.jpg', 'cat').")
        own = self._pictures()
        own.setdefault(name, []).extend(sources.loose([p]).image(0) for p in found)
        self._own, self._shots, self._spec, self._runs = own, None, None, {}
        return self

    @property
    def task(self) -> Shots:
        """The shots, as :func:`promptlab.fit` takes them."""
        if self._shots is None:
            if len(self._own) < 2:
                raise BadData(f"a project needs pictures of two classes and has {len(self._own)}; add some, as in add('cat.jpg', 'cat').")
            labels = [i for i, each in enumerate(self._own.values()) for _ in each]
            data = sources.arrays([p for each in self._own.values() for p in each], labels, list(self._own), name=self.name)
            self._shots = Shots(data, self._wanted, self.seed)
        return self._shots

    @property
    def runs(self) -> list[Run]:
        """Fitted methods, zero-shot first."""
        return sorted(self._runs.values(), key=lambda r: r.key != "zero_shot")

    def zero_shot(self) -> Run:
        """What the backbone knows without learning: the baseline that every method must beat."""
        return self._fit("zero_shot", {}, self.seed)

    def fit(self, methods: Any, *, seeds: Iterable[int] | None = None, **hyper: Any) -> "Project":
        """Fit one method or several (ids, or (id, {knob: value}) pairs), once a seed; the knobs in ``hyper`` go to all of them."""
        self.zero_shot()
        for method in [methods] if isinstance(methods, str | tuple | type) else methods:
            key, own = method if isinstance(method, tuple) else (method, {})
            for seed in seeds or (self.seed,):
                self._fit(key, {**hyper, **own}, seed)
        return self

    def compare(self) -> Comparison:
        """All runs side by side; shows itself as a table with mean and spread over seeds."""
        self.zero_shot()
        return Comparison(tuple(self.runs))

    def inspect(self, what: str = "shift", image: Any = None, method: str | None = None, **settings: Any) -> Any:
        """An exhibit of the newest run (or of ``method``'s newest): shift, evidence, words, attention, transport, ...

        ``image``: a picture, a list, or None for held-out pictures of the project."""
        from promptlab.inspect import looks_at_pictures, pictures_for, show

        run = self._newest(method)
        if looks_at_pictures(what) and image is None:
            split = self.task.draw(run.meta["seed"])[0].val
            if not split:
                raise BadData(f"there are no held-out pictures for '{what}'; pass one, as in inspect('{what}', 'cat.jpg').")
            image = pictures_for(what, split)
        elif looks_at_pictures(what):
            from promptlab.answers import batch_of

            image = batch_of(image, self.clip.spec)[0]
        return show(run, what, image, **settings)

    def predict(self, image: Any, k: int = 3) -> Table:
        """What each fitted method (its newest run) says of a picture: a row a method with its ``k`` best names and probabilities."""
        self.zero_shot()
        newest = {r.key: r for r in self.runs}
        said = {r.method.card.name: r.predict(image, k).items() for r in newest.values()}
        return Table({"method": m, **{f"{i}.": f"{n} {100 * p:.0f} %" for i, (n, p) in enumerate(best, 1)}} for m, best in said.items())

    def app(self, port: int | None = None, wait: bool = False) -> Any:
        """Open the app with these shots and runs on 127.0.0.1."""
        from promptlab.ui import open_here

        self.zero_shot()
        return open_here(self, port, wait=wait)

    @property
    def spec(self) -> str | None:
        """How the app and Python open the shots again, where they are a task of the world; None for own pictures."""
        return self._spec

    def _fit(self, key: Any, hyper: Mapping[str, Any], seed: int) -> Run:
        preset = auto_preset(method_class(key).card.presets, self.clip.name)
        run = api.fit(key, self.clip, self.task, preset=preset, store=self.store, **{**hyper, "seed": seed})
        self._runs.pop(run.id, None)
        self._runs[run.id] = run
        return run

    def _newest(self, method: str | None) -> Run:
        found = [r for r in self.runs if method in (None, r.key)]  # zero-shot is the newest only where it is alone
        if not found:
            raise BadData(f"there is no run of '{method}' in this project; fit it first." if method else
                          "nothing is fitted in this project; begin with fit('coop').")
        return found[-1]

    def _pictures(self) -> dict[str, list[Any]]:
        """All pictures by class: what was added, or what the data brought along."""
        if self._own or self._shots is None:
            return {n: list(p) for n, p in self._own.items()}
        data: DataSet = self._shots.data
        if data.kind != "single" or self._spec:
            raise BadData(f"pictures can be added to shots of your own with one class a picture; '{data.name}' stays as it is.")
        own: dict[str, list[Any]] = {n: [] for n in data.classes.names}
        for split in filter(None, (data.train, data.val, data.test)):
            for row, label in zip(split.rows, split.targets.tolist(), strict=True):
                own[data.classes.names[label]].append(split.source.image(row))
        return own

    def _repr_html_(self) -> str:
        if self._runs:
            return self.compare()._repr_html_()
        return self.task._repr_html_() if self._shots is not None or len(self._own) > 1 else f"<p>{self.name}: no shots yet.</p>"
