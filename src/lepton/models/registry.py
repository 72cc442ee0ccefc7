"""The verbs of what is said about models, as MLflow's registry knows them: titles, words, tags, aliases, sources.

A version itself is `Models`'s, with the number that it has there. Here a folder of a run's files becomes one: a graph
if it has a plain ONNX graph, else files only, which are kept and never opened.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, InvalidInput, NotFound, TooLarge
from lepton.core.refs import Ref, name_from
from lepton.models import bundle, inert, registry_rows
from lepton.models.inert import ModelFile
from lepton.models.operations import Models
from lepton.models.records import ModelVersion
from lepton.models.registry_rows import TitleRow, WordsRow
from lepton.runs.batch import check_fields
from lepton.runs.operations import Runs

T = TypeVar("T")
MAX_TITLE = 250
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class RegisteredVersion:
    """A version and what is said about it."""

    title: str
    version: ModelVersion
    words: WordsRow
    aliases: tuple[str, ...] = ()

    @property
    def is_files(self) -> bool:
        """Whether it is files that are kept and never opened."""
        return self.version.recipe == inert.FILES


@dataclass(frozen=True)
class Registered:
    """A model and what is said about it; its versions newest first."""

    about: TitleRow
    versions: tuple[RegisteredVersion, ...]


@dataclass(frozen=True)
class Source:
    """Where the files of a version are.

    Attributes:
        text: In the words of who registers it.
        run_id: The run that has them.
        path: Of their folder among the files of the run; empty for all of them.
        logged_model: Id of MLflow's note of it, or empty.
    """

    text: str
    run_id: str
    path: str
    logged_model: str = ""


class Registry:
    """What is said about models."""

    def __init__(self, *, guard: Guard, models: Models, runs: Runs, clock: Clock) -> None:
        self._guard = guard
        self._models = models
        self._runs = runs
        self._clock = clock

    def list(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> builtins.list[Registered]:
        """Return all models of a project by title, those without a version too."""
        versions = {one.name: one.versions for one in self._models.list(actor, project=project)}
        with self._guard.allow(actor, "models.list", project=project) as tx:
            titles, words = registry_rows.titles(tx, project), registry_rows.words(tx, project)
        about = {row.name: row for row in titles}
        about |= {name: TitleRow(name, name, _BEGINNING, _BEGINNING) for name in versions if name not in about}
        return sorted(
            (_registered(row, versions.get(name, ()), words) for name, row in about.items()),
            key=lambda one: one.about.title,
        )

    def get(self, actor: Actor, title: str, *, project: str = DEFAULT_PROJECT) -> Registered:
        """Return the model of a title.

        Raises:
            NotFound: if there is none.
        """
        for one in self.list(actor, project=project):
            if one.about.title == title:
                return one
        raise NotFound(f"There is no model {title[:80]!r} in project {project!r}. See: lepton models list")

    def create(
        self, actor: Actor, title: str, *, description: str = "", tags: Mapping[str, str] = NONE,
        project: str = DEFAULT_PROJECT,
    ) -> Registered:  # fmt: skip
        """Make room for the versions of a model; its name in Lepton is made from its title.

        Raises:
            Conflict: if there is a model of that title.
        """
        check_fields({_titled(title): description, **tags})
        now = self._clock()
        taken = {one.about.title: one.about.name for one in self.list(actor, project=project)}
        with self._guard.allow(actor, "models.register", project=project, target="model") as tx:
            if title in taken or registry_rows.find(tx, project, title) is not None:
                raise Conflict(f"There is a model {title[:80]!r} already. Add versions to it, or take another name.")
            names = {*taken.values(), *(row.name for row in registry_rows.titles(tx, project))}
            row = TitleRow(_free(name_from(title), names), title, now, now, description, dict(tags))
            if not registry_rows.add(tx, project, row):
                raise Conflict(f"A model {title[:80]!r}, or one with the same name here, was just made. Look for it.")
        return Registered(row, ())

    def update(
        self, actor: Actor, title: str, *,
        new_title: str | None = None, description: str | None = None,
        tags: Mapping[str, str | None] | None = None, aliases: Mapping[str, int | None] | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> Registered:  # fmt: skip
        """Change what is said about a model; a tag or an alias that becomes None goes.

        Raises:
            NotFound: if there is no such model, or no version that an alias would mean.
            Conflict: if there is another model of the new title.
        """
        known = self.get(actor, title, project=project)
        numbers = {one.version.version for one in known.versions}
        for alias, number in (aliases or {}).items():
            if number is not None and number not in numbers:
                raise NotFound(f"Model {title[:80]!r} has no version {number}, so {alias[:60]!r} cannot mean it.")
        words = {**dict.fromkeys(aliases or {}, ""), **{key: value or "" for key, value in (tags or {}).items()}}
        check_fields({**words, _titled(new_title or title): description or ""})
        taken = {one.about.title for one in self.list(actor, project=project)} - {title}
        with self._guard.allow(actor, "models.register", project=project, target=f"model:{known.about.name}") as tx:
            row = registry_rows.find(tx, project, title, lock=True) or known.about
            changed = replace(
                row,
                title=new_title or title,
                description=row.description if description is None else description,
                tags=_merged(row.tags, tags or {}),
                aliases=_merged(row.aliases, aliases or {}),
                changed_at=self._clock(),
            )
            if changed.title in taken or not registry_rows.put(tx, project, changed):
                raise Conflict(f"There is a model {changed.title[:80]!r} already. Take another name.")
        return self.get(actor, new_title or title, project=project)

    def delete(self, actor: Actor, title: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Delete a model with all of its versions; the files of their runs stay.

        Raises:
            NotFound: if there is no such model.
            Conflict: if an endpoint answers with a version.
        """
        known = self.get(actor, title, project=project)
        if known.versions:
            self._models.delete(actor, Ref(known.about.name), project=project)
        with self._guard.allow(actor, "models.delete", project=project, target=f"model:{known.about.name}") as tx:
            registry_rows.remove(tx, project, known.about.name)

    def add(
        self, actor: Actor, title: str, source: Source, *,
        description: str = "", tags: Mapping[str, str] = NONE, project: str = DEFAULT_PROJECT,
    ) -> RegisteredVersion:  # fmt: skip
        """Make the files of a run the next version of a model: a graph if they have one that can be served, else files.

        Raises:
            NotFound: if there is no such model or run.
            InvalidInput: if there are no files there.
        """
        check_fields({"description": description, **tags})
        name = self.get(actor, title, project=project).about.name
        if self._runs.get(actor, source.run_id).project != project:
            raise NotFound(f"There is no run {source.run_id!r} in project {project!r}.")
        files = self._files(actor, source)
        if not files:
            raise InvalidInput(f"Run {source.run_id} has no files at {source.path[:80]!r}. Log the model there first.")
        made = self._made(actor, name, source, files, project=project)
        row = WordsRow(
            made.name, made.version, self._clock(), description, dict(tags), source.text, source.run_id, source.path,
            source.logged_model,
        )  # fmt: skip
        with self._guard.allow(actor, "models.register", project=project, target=f"model:{made.ref}") as tx:
            registry_rows.put_words(tx, project, row)
        return self.version(actor, title, made.version, project=project)

    def version(self, actor: Actor, title: str, number: int, *, project: str = DEFAULT_PROJECT) -> RegisteredVersion:
        """Return one version of a model.

        Raises:
            NotFound: if there is none of that number.
        """
        for one in self.get(actor, title, project=project).versions:
            if one.version.version == number:
                return one
        raise NotFound(f"Model {title[:80]!r} has no version {number}. See: lepton models list")

    def describe(
        self, actor: Actor, title: str, number: int, *,
        description: str | None = None, tags: Mapping[str, str | None] | None = None, project: str = DEFAULT_PROJECT,
    ) -> RegisteredVersion:  # fmt: skip
        """Change what is said about a version; a tag that becomes None goes."""
        check_fields({"description": description or "", **{key: value or "" for key, value in (tags or {}).items()}})
        known = self.version(actor, title, number, project=project)
        target = f"model:{known.version.ref}"
        with self._guard.allow(actor, "models.register", project=project, target=target) as tx:
            row = registry_rows.words(tx, project).get((known.version.name, number), known.words)
            text = row.description if description is None else description
            changed = replace(row, description=text, tags=_merged(row.tags, tags or {}), changed_at=self._clock())
            registry_rows.put_words(tx, project, changed)
        return self.version(actor, title, number, project=project)

    def remove(self, actor: Actor, title: str, number: int, *, project: str = DEFAULT_PROJECT) -> None:
        """Delete a version; the files of its run stay."""
        known = self.version(actor, title, number, project=project)
        self._models.delete(actor, Ref(known.version.name, number), project=project)

    def source(self, actor: Actor, title: str, number: int, *, project: str = DEFAULT_PROJECT) -> Source:
        """Return where the files of a version are.

        Raises:
            NotFound: if it has no files of a run.
            Conflict: if one of them is not what was registered: it was replaced or removed since.
        """
        known = self.version(actor, title, number, project=project)
        if not known.words.run_id:
            raise NotFound(f"Model {known.version.ref} was made here. Get its graph with: lepton models export")
        found = Source(known.words.source, known.words.run_id, known.words.path, known.words.logged_model)
        if known.is_files:
            ref = Ref(known.version.name, number)
            there = set(self._files(actor, found))
            if not set(self._models.files(actor, ref, project=project)) <= there:
                raise Conflict(f"Files of model {known.version.ref} were replaced or removed since it was registered.")
        return found

    def _files(self, actor: Actor, source: Source) -> builtins.list[ModelFile]:
        inside = f"{source.path}/" if source.path else ""
        return [
            ModelFile(one.path[len(inside) :], one.size_bytes, one.sha256)
            for one in self._runs.artifacts(actor, source.run_id)
            if one.path.startswith(inside)
        ]

    def _made(
        self, actor: Actor, name: str, source: Source, files: builtins.list[ModelFile], *, project: str
    ) -> ModelVersion:
        reason = ""
        if (graph := self._graph(actor, source, files)) is not None:
            packed = bundle.pack({bundle.GRAPH: graph})
            try:
                return self._models.register(actor, [packed], name=name, project=project, run_id=source.run_id)
            except (InvalidInput, TooLarge) as error:
                reason = error.message
        return self._models.register_files(
            actor, files, name=name, project=project, run_id=source.run_id, reason=reason
        )

    def _graph(self, actor: Actor, source: Source, files: builtins.list[ModelFile]) -> bytes | None:
        """Return the ONNX graph among files, if their description names one and it is not too large to be taken."""
        sizes = {file.path: file.size_bytes for file in files}
        if not 0 < sizes.get(inert.DESCRIPTION, 0) <= inert.MAX_DESCRIPTION:
            return None
        path = inert.graph_of(self._read(actor, source, inert.DESCRIPTION))
        if path is None or not 0 < sizes.get(path, 0) <= bundle.MAX_BYTES:
            return None
        return self._read(actor, source, path)

    def _read(self, actor: Actor, source: Source, path: str) -> bytes:
        full = f"{source.path}/{path}" if source.path else path
        _, file = self._runs.download(actor, source.run_id, full)
        with file:
            return file.read()


def _registered(
    about: TitleRow, versions: tuple[ModelVersion, ...], words: Mapping[tuple[str, int], WordsRow]
) -> Registered:
    numbers = {one.version for one in versions}
    about = replace(about, aliases={alias: number for alias, number in about.aliases.items() if number in numbers})
    found = tuple(
        RegisteredVersion(
            about.title,
            one,
            words.get((one.name, one.version)) or WordsRow(one.name, one.version, one.created_at),
            tuple(sorted(alias for alias, number in about.aliases.items() if number == one.version)),
        )
        for one in versions
    )
    return Registered(about, found)


def _merged(known: Mapping[str, T], changes: Mapping[str, T | None]) -> dict[str, T]:
    return {key: value for key, value in {**known, **changes}.items() if value is not None}


def _titled(title: str) -> str:
    if not title.strip() or len(title) > MAX_TITLE:
        raise InvalidInput(f"The name of a model has 1 to {MAX_TITLE} characters.")
    return title


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no model has: the one that is wanted, or that with a number."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name[:58]}-{number}", number + 1
    return free
