"""Streams of the Deferred client: watches, commands, and the end of a connection."""

from __future__ import annotations

import json

from twisted.internet.defer import CancelledError, Deferred

from libgomd import calls
from libgomd.errors import (
    ConnectionLost,
    NotFound,
    TimedOut,
)
from libgomd.model import Output
from libgomd.streams import Answers
from tests.unit.libgomd.connected import Connected, T
from tests.unit.libgomd.scripted import Far


class StreamTests(Connected):
    """Answers that keep coming."""

    def begin(self, stream: Answers[T], opened: str = "201 here it comes") -> tuple[Far, Deferred[T]]:
        """Ask for the first answer of ``stream``, up to the status line."""
        first = self.started(stream.__anext__())
        far = self.welcome()
        self.assertEqual(len(far.heard()), 1)
        far.say(opened)
        return far, first

    def test_a_watch_gives_rounds_while_other_questions_go_on(self) -> None:
        """It has a connection of its own, with the same token and format."""
        loads = self.client.watch(calls.load(), seconds=2)
        far, first = self.begin(loads)
        self.assertIsNot(far, self.far)
        far.say('{"round": 1, "rows": 1, "value": 7}')
        self.assertEqual(self.successResultOf(first), 7)
        asked = self.client.load()
        self.far.say("200 9")
        self.assertEqual(self.successResultOf(asked), 9)
        second = self.started(loads.__anext__())
        self.assertNoResult(second)
        far.say('{"round": 2, "rows": 1, "value": 8}')
        self.assertEqual(self.successResultOf(second), 8)
        self.successResultOf(loads.aclose())
        self.assertFalse(far.connected)
        self.assertTrue(self.far.connected)
        self.failureResultOf(self.started(loads.__anext__()), StopAsyncIteration)

    def test_nothing_is_asked_before_the_first_answer_is(self) -> None:
        """A stream that is made and never read costs nothing."""
        self.client.watch(calls.load())
        self.assertEqual(len(self.daemon.connections), 1)

    def test_a_command_gives_its_output_and_ends(self) -> None:
        """`async for` over it comes to its end by itself, and the connection is closed."""
        got: list[Output] = []

        async def collect() -> None:
            async for output in self.client.do("update"):
                got.append(output)

        done = self.started(collect())
        far = self.welcome()
        self.assertEqual(self.daemon.connections[-1].heard(), ["do update"])
        far.say("201 running", '{"line": "one", "exit": null}')
        self.assertEqual(got, [Output("one")])
        far.say('{"line": null, "exit": 3}', ".")
        self.successResultOf(done)
        self.assertEqual(got, [Output("one"), Output(None, 3)])
        self.assertFalse(far.connected)

    def test_a_refusal_is_raised_by_the_first_answer(self) -> None:
        """And its connection is closed."""
        far, first = self.begin(self.client.do("nothing"), "404 no command `nothing`")
        self.failureResultOf(first, NotFound)
        self.assertFalse(far.connected)

    def test_leaving_the_loop_ends_it_at_the_daemon(self) -> None:
        """With ``async with``, and without when the iterator is dropped."""

        async def first_only(close: bool) -> int:
            if close:
                async with self.client.watch(calls.load()) as loads:
                    async for load in loads:
                        return load
            async for load in self.client.watch(calls.load()):
                return load
            return -1

        for close in (True, False):
            done = self.started(first_only(close))
            far = self.welcome()
            far.say("201 watching", '{"round": 1, "rows": 1, "value": 7}')
            self.assertEqual(self.successResultOf(done), 7)
            del done
            self.assertFalse(far.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelling_who_waits_ends_it(self) -> None:
        """A program that is told to stop in the middle of a watch leaves no connection behind."""
        far, first = self.begin(self.client.watch(calls.load()))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertFalse(far.connected)

    def test_cancelling_before_the_daemon_answers_ends_it_too(self) -> None:
        """The connection that was on its way is closed."""
        stream = self.client.watch(calls.load())
        first = self.started(stream.__anext__())
        far = self.daemon.connections[-1]
        first.cancel()
        self.failureResultOf(first, ConnectionLost)
        self.assertFalse(far.connected)

    def test_a_slow_consumer_holds_the_daemon_back(self) -> None:
        """Reading is paused while a screenful waits, and goes on when that is read."""
        events = self.client.do("noisy")
        far, first = self.begin(events)
        line = json.dumps({"line": "x", "exit": None})
        far.say(*[line] * 600)
        self.successResultOf(first)
        self.assertEqual(far.producerState, "paused")
        for _ in range(599):
            self.successResultOf(self.started(events.__anext__()))
        self.assertEqual(far.producerState, "paused")
        waiting = self.started(events.__anext__())
        self.assertEqual(far.producerState, "producing")
        far.say(line)
        self.successResultOf(waiting)
        self.successResultOf(events.aclose())

    def test_what_came_before_the_connection_broke_is_still_given(self) -> None:
        """The error comes after the last answer, not instead of it."""
        events = self.client.do("update")
        far, first = self.begin(events)
        far.say('{"line": "one", "exit": null}', '{"line": "two", "exit": null}')
        far.loseConnection()
        self.assertEqual(self.successResultOf(first), Output("one"))
        self.assertEqual(self.successResultOf(self.started(events.__anext__())), Output("two"))
        self.failureResultOf(self.started(events.__anext__()), ConnectionLost)

    def test_a_daemon_that_does_not_begin_is_given_up(self) -> None:
        """The time limit is for the beginning; between answers any time may pass."""
        first = self.started(self.client.watch_events().__anext__())
        far = self.welcome()
        self.clock.advance(10.1)
        self.failureResultOf(first, TimedOut)
        self.assertFalse(far.connected)
        far, first = self.begin(self.client.watch_events())
        self.clock.advance(86400)
        self.assertNoResult(first)
        self.successResultOf(self.client.close())
        self.failureResultOf(first, ConnectionLost)
        self.assertFalse(far.connected)

    def test_streams_use_the_token_of_the_client(self) -> None:
        """Also one that was given later."""
        raised = self.client.auth("s3cret")
        self.far.say("200 null")
        self.successResultOf(raised)
        first = self.started(self.client.watch_events().__anext__())
        far = self.daemon.connections[-1]
        far.say("220 gomd 0.1.0 node 1 alpha")
        self.assertEqual(far.heard(), ["auth s3cret"])
        first.addErrback(lambda _: None)
        self.successResultOf(self.client.close())


class ClosingTests(Connected):
    """A daemon that does not let go."""

    def test_a_connection_that_does_not_close_is_cut(self) -> None:
        """`close` comes to an end whatever the other end does."""
        self.far.loseConnection = lambda: None  # type: ignore[method-assign]
        closing = self.client.close()
        self.assertNoResult(closing)
        del self.far.loseConnection
        self.clock.advance(5.1)
        self.successResultOf(closing)
