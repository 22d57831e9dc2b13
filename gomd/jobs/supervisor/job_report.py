"""Makes the report of a job that its supervisor sends to the daemon and keeps in the job's directory."""

from __future__ import annotations

from gomd.jobs.supervisor.spawn import Program, SupervisorEnvironment
from libgomd.wire.job_messages import JobReport, SpawnSpec
from libgomd.wire.job_name import JobName
from libgomd.wire.process_identity import ProcessIdentity

#: Characters of a job's arguments that are kept, to be shown.
_SHOWN_CHARACTERS = 4096


def shown_arguments(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first arguments, as many as are shown of a job."""
    shown, left = [], _SHOWN_CHARACTERS
    for word in argv:
        if left <= 0:
            break
        shown.append(word[:left])
        left -= len(word) + 1
    return tuple(shown)


def new_identity(spec: SpawnSpec, program: Program) -> str:
    """Return the identity of a program that has begun at home; empty when it cannot be told."""
    if not program.started:
        return ""
    return str(ProcessIdentity(JobName.parse(spec.id).home, program.outside, program.started))


def report(
    spec: SpawnSpec, program: Program, environment: SupervisorEnvironment, terminal_moves: bool
) -> JobReport:
    """Return the report of a job that runs. :param terminal_moves: its terminal can be handed over."""
    return JobReport(
        spec.id, program.outside, environment.pid, spec.uid, spec.gid, spec.user, spec.argv, spec.cwd,
        spec.detach, spec.tty, spec.lock, spec.nmigs, spec.images, spec.began, spec.used, spec.pid_at_home,
        spec.memory_max, environment.why_not, spec.carry, terminal_moves=terminal_moves,
        identity=spec.identity,
    )  # fmt: skip
