"""What is submitted to be run: a line of JSON, and behind it the folder as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from lepton.core.errors import InvalidInput
from lepton.runs.commands import Command, Submission
from lepton.runs.records import Resources, Scheduling
from lepton.server.wire import Answer, Body, Scalar

MAX_SUBMISSION_BYTES = 1 << 20
"""Of the line of JSON."""


class SubmissionBody(Body):
    """The first line of a submission."""

    command: list[str] = Field(default_factory=list, description="Program and arguments.")
    like: str = Field(
        default="", max_length=40, description="A run whose folder, and whatever else is not said, is taken."
    )
    workers: int = Field(default=1, description="Number of processes.")
    cpus: float = Field(default=1.0, description="Processors of each worker.")
    memory_mb: int = Field(default=0, description="Most memory of each worker, in MiB; 0: as much as there is.")
    gpus: int = Field(default=0, description="GPUs of each worker.")
    timeout_s: int = Field(default=0, description="How long the command may take; 0: as long as it likes.")
    hang_timeout_s: int = Field(default=0, description="How long it may do nothing; 0: as long as it likes.")
    environment: str | None = Field(default=None, description="requirements.txt, uv.lock or pyproject.toml inside.")
    outputs: list[str] = Field(default_factory=list, description="Patterns of files to keep.")
    secrets: dict[str, str] = Field(default_factory=dict, description="Environment variables that no log shows.")
    params: dict[str, Scalar] = Field(default_factory=dict, description="Settings to show with the run.")
    name: str = Field(default="", max_length=128)
    key: str | None = Field(default=None, description="Submitting twice with one key runs once.")
    priority: int = Field(default=0, description="From -100 to 100; the highest of a project is next.")
    preemptible: bool = Field(default=False, description="It may be ended to make room, and goes on later.")
    retries: int = Field(default=0, description="How many times it is tried again when its workers fail.")
    after: list[str] = Field(default_factory=list, description="Runs that must have succeeded before.")
    reuse: bool = Field(default=False, description="Take the results of a run with the same code and inputs.")

    @classmethod
    def of(cls, earlier: Submission) -> SubmissionBody:
        """Write what was submitted earlier."""
        command, needs, queued = earlier.command, earlier.command.resources, earlier.scheduling
        return cls(
            command=list(command.argv), like=earlier.like, workers=command.workers, cpus=needs.cpus,
            memory_mb=needs.memory_mb, gpus=needs.gpus, timeout_s=command.timeout_s,
            hang_timeout_s=command.hang_timeout_s, environment=command.environment, outputs=list(command.outputs),
            secrets=dict(command.secrets), params=dict(earlier.params),
            name=earlier.name, priority=queued.priority, preemptible=queued.preemptible, retries=queued.retries,
        )  # fmt: skip

    def over(self, earlier: Submission) -> Submission:
        """Return what was submitted earlier with all that is said here; secrets come together, by name."""
        before = self.of(earlier)
        said = {name: getattr(self, name) for name in self.model_fields_set}
        whole = before.model_copy(update={**said, "secrets": {**before.secrets, **self.secrets}}).submission()
        return replace(whole, command=replace(whole.command, bundle=earlier.command.bundle))

    def submission(self) -> Submission:
        """Return what is submitted."""
        command = Command(
            argv=tuple(self.command),
            workers=self.workers,
            resources=Resources(self.cpus, self.memory_mb, self.gpus),
            timeout_s=self.timeout_s,
            hang_timeout_s=self.hang_timeout_s,
            environment=self.environment,
            outputs=tuple(self.outputs),
            secrets=self.secrets,
        )
        scheduling = Scheduling(
            priority=self.priority, preemptible=self.preemptible, retries=self.retries, after=tuple(self.after)
        )
        return Submission(command, self.name, self.params, self.key, scheduling, reuse=self.reuse, like=self.like)


class AssignmentAnswer(Answer):
    """What the launcher of a run is to start."""

    argv: list[str]
    workers: int
    cpus: float
    memory_mb: int
    gpus: int
    timeout_s: int
    hang_timeout_s: int
    environment: str | None
    outputs: list[str]
    secrets: dict[str, str]

    @classmethod
    def of(cls, command: Command) -> AssignmentAnswer:
        """Write a command."""
        values = {name: getattr(command, name) for name in cls.model_fields if hasattr(command, name)}
        needs = command.resources
        return cls.model_validate({**values, "cpus": needs.cpus, "memory_mb": needs.memory_mb, "gpus": needs.gpus})


def read_submission(chunks: Iterable[bytes]) -> tuple[SubmissionBody, Iterator[bytes]]:
    """Read the first line, and return what it says and the rest, which has not come yet.

    Raises:
        InvalidInput: if there is no such line.
        RequestValidationError: if it does not say what it must.
    """
    line, rest = bytearray(), iter(chunks)
    for chunk in rest:
        head, ends, behind = chunk.partition(b"\n")
        line += head
        if ends:
            try:
                return SubmissionBody.model_validate_json(bytes(line)), chain([behind], rest)
            except ValidationError as error:
                wrong = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
                raise RequestValidationError(wrong) from None
        if len(line) > MAX_SUBMISSION_BYTES:
            break
    raise InvalidInput("A submission begins with one line of JSON, and the packed folder follows behind its line end.")


class ProgressBody(Body):
    """How far a run is."""

    fraction: float = Field(ge=0, le=1)
    message: str = ""


class FailureBody(Body):
    """Why a run cannot succeed."""

    message: str
