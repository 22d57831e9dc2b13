"""The part of both clients' job objects that asks nobody: the facts of the job."""

from __future__ import annotations

from libgomd.errors import NotPossible
from libgomd.jobsession import JobFacts, JobSession


class JobHandle:
    """A job that has begun, by what the daemon has said of it so far. Nothing here blocks or asks."""

    def __init__(self) -> None:
        self._session = JobSession()

    @property
    def job(self) -> int:
        """Its number at its home: for `attach`, `kill` and `gom attach`."""
        return self._facts.job

    @property
    def pid(self) -> int | None:
        """Its process id at home, see `JobFacts.pid`: for `migrate`, `where` and `signal`."""
        return self._facts.pid

    @property
    def node(self) -> int:
        """The id of the node that it began on, or ran on when it was attached to."""
        return self._facts.node

    @property
    def home(self) -> int:
        """The id of the node that it was asked for at."""
        return self._facts.home

    @property
    def detached(self) -> bool:
        """Whether nobody waits for it: it goes on when this is closed, and its output is kept."""
        return self._facts.detached

    @property
    def exit(self) -> int | None:
        """Its exit status, 128 + N when signal N ended it; None while it is not known."""
        return None if self._session.exited is None else self._session.exited.status

    @property
    def reason(self) -> str:
        """A sentence on how it ended, empty as a rule."""
        return "" if self._session.exited is None else self._session.exited.reason

    @property
    def lost_output(self) -> int:
        """Bytes of output that were not kept: the oldest of a detached job."""
        return self._session.lost_output

    @property
    def _facts(self) -> JobFacts:
        assert self._session.facts is not None  # nobody is given a handle before the job has begun
        return self._session.facts

    def _check_detachable(self) -> None:
        if not self.detached and self.exit is None:
            raise NotPossible(
                f"{self._session} ends with its caller: only one started with detach=True goes on alone"
            )

    def _left_alone(self) -> NotPossible:
        """Return the error for whoever asks for the streams of a job that was started detached."""
        number = self.job
        return NotPossible(f"job {number} is detached: attach({number}) gives its output and exit status")
