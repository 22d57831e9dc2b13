"""An observer of jobs and a listener of relays that write down what they were told."""

from __future__ import annotations

from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.wire.job_messages import JobExit, JobReport, StartFailure
from libgomd.wire.job_orders import OrderOutcome


class RecordingObserver:
    """A `JobObserver`. :ivar told: the names of what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def job_started(self, tracked: TrackedJob, first_time: bool) -> None:
        self.told.append("started" if first_time else "started again")

    def job_ended(self, tracked: TrackedJob) -> None:
        self.told.append("ended")

    def job_failed(self, tracked: TrackedJob, failure: StartFailure) -> None:
        self.told.append(f"failed: {failure.text}")

    def job_collected(self, tracked: TrackedJob) -> None:
        self.told.append("collected")

    def job_connected(self, tracked: TrackedJob) -> None:
        self.told.append("connected")

    def job_disconnected(self, tracked: TrackedJob) -> None:
        self.told.append("disconnected")

    def client_lost(self, tracked: TrackedJob) -> None:
        self.told.append("client lost")


class RecordingListener:
    """A `RelayListener`. :ivar told: the names of what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_started(self, running: JobReport) -> None:
        self.told.append("started")

    def on_exit(self, exit: JobExit) -> None:
        self.told.append("ended")

    def on_failed(self, failure: StartFailure) -> None:
        self.told.append("failed")

    def on_outcome(self, outcome: OrderOutcome) -> None:
        self.told.append("outcome")

    def on_collected(self) -> None:
        self.told.append("collected")

    def on_job_lost(self) -> None:
        self.told.append("job lost")

    def on_client_lost(self) -> None:
        self.told.append("client lost")
