package gomd;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A connection of the telnet line, greeted, authenticated and set to JSON. One thread at a time. */
final class Line implements AutoCloseable {
    /** A status line, and the lines of its block. */
    record Reply(int code, String text, List<String> lines) {}

    /** Characters that one answer may have. */
    private static final int MAX_BLOCK = 64 * 1024 * 1024;

    private final Wire wire;
    private final LineReader reader = new LineReader();
    private final Duration timeout;

    Line(List<Endpoint> endpoints, Duration timeout, String token) {
        this.timeout = timeout;
        this.wire = Wire.dial(endpoints, timeout, token.isEmpty() ? null : "auth");
        try {
            long deadline = Wire.deadline(timeout);
            LineReader.Part greeting = next(deadline);
            if (greeting.code() != 220) {
                if (greeting.code() >= 400 && greeting.code() < 600) {
                    throw GomdException.refused(greeting.code(), greeting.text());
                }
                throw GomdException.malformed(wire.endpoint() + " does not greet as gomd does");
            }
            if (!greeting.text().matches("(?s)gomd \\S+ node [1-9][0-9]{0,4}( .*)?")) {
                throw GomdException.malformed(wire.endpoint() + " is no gomd: another program listens there");
            }
            if (!token.isEmpty()) {
                ask("auth", List.of(token), "", timeout);
            }
            if (ask("format", List.of("json"), "", timeout).code() != 200) {
                throw GomdException.malformed(wire.endpoint() + " does not answer `format json` as gomd does");
            }
        } catch (RuntimeException error) {
            wire.close();
            throw error;
        }
    }

    Endpoint endpoint() {
        return wire.endpoint();
    }

    Wire wire() {
        return wire;
    }

    LineReader reader() {
        return reader;
    }

    /** Sends a request and returns its answer. Dies, and closes the connection, after the timeout. */
    Reply ask(String verb, List<String> words, String node, Duration within) {
        long deadline = Wire.deadline(within);
        LineReader.Part status = begin(verb, words, node, deadline);
        if (status.code() != 201) {
            if (status.code() != 200) { // behind a 202 are frames, and a 220 or a 221 belongs to another conversation
                wire.close();
                throw GomdException.malformed("the answer to " + verb + " is a " + status.code() + ", which is none");
            }
            return new Reply(status.code(), status.text(), List.of());
        }
        List<String> lines = new ArrayList<>();
        long size = 0;
        while (true) {
            LineReader.Part part = next(deadline);
            switch (part.what()) {
                case LINE -> {
                    size += part.text().length() + 1;
                    if (size > MAX_BLOCK) {
                        wire.close();
                        throw GomdException.malformed("an answer of more than " + MAX_BLOCK + " characters");
                    }
                    lines.add(part.text());
                }
                case FAILURE -> throw GomdException.refused(part.code(), part.text());
                default -> {
                    if (!lines.isEmpty() && lines.get(lines.size() - 1).matches("(?s)\\{ ?\"(code|error)\".*")) {
                        Values.throwIfFailure(Json.object(lines.get(lines.size() - 1)));
                    }
                    return new Reply(201, status.text(), lines);
                }
            }
        }
    }

    /** Sends a request and returns the status line of its answer. */
    LineReader.Part begin(String verb, List<String> words, String node, long deadline) {
        wire.endpoint().check(verb, words);
        byte[] request = LineReader.request(verb, words, node);
        if (!wire.isOpen()) {
            throw GomdException.lost("this connection is closed");
        }
        checkSilent();
        if (!wire.writeAll(request, deadline) && System.nanoTime() >= deadline) {
            wire.close();
            throw GomdException.late("the request could not be sent in time");
        }
        LineReader.Part status = next(deadline);
        if (status.code() >= 400) {
            throw GomdException.refused(status.code(), status.text());
        }
        return status;
    }

    /** Checks that nothing has come that nobody asked for: it would be taken for the answer to what is asked now. */
    private void checkSilent() {
        byte[] early = wire.readNow();
        if (early == null) {
            wire.close();
            throw GomdException.lost("the daemon is gone: " + wire.why());
        }
        reader.feed(early, early.length);
        if (!reader.isEmpty()) {
            LineReader.Part said = next(Wire.deadline(Duration.ZERO));
            wire.close();
            throw GomdException.lost("the daemon ended the connection (" + said.text() + ")");
        }
    }

    /** Returns the next part of an answer. */
    LineReader.Part next(long deadline) {
        try {
            while (true) {
                LineReader.Part part = reader.next();
                if (part != null) {
                    return part;
                }
                // A daemon that never stops sending has not answered either.
                if (System.nanoTime() >= deadline || !wire.awaitEither(false, deadline)) {
                    throw GomdException.late("no answer within " + timeout.toMillis() / 1000.0 + " seconds");
                }
                byte[] bytes = wire.readNow();
                if (bytes == null) {
                    throw GomdException.lost("the daemon is gone: " + wire.why());
                }
                reader.feed(bytes, bytes.length);
            }
        } catch (GomdException error) {
            wire.close();
            throw error;
        }
    }

    @Override
    public void close() {
        wire.close();
    }
}
