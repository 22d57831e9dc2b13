package gomd;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * An answer that comes again and again, over a connection of its own. One thread at a time uses it; another one may
 * close it, which ends it for the thread that waits.
 *
 * @param <T> what a row is
 */
public final class Watch<T> implements Iterator<Round<T>>, AutoCloseable {
    private static final long MAX_ROWS = 1_000_000;
    private final Line line;
    private final Function<Map<String, Object>, T> row;
    private final boolean isOfEvents;
    private List<Round.Seen<T>> rows = new ArrayList<>();
    private long round;
    private long events;
    private Round<T> ahead;
    private volatile boolean hasEnded;
    private boolean hasRead;

    Watch(Line line, Function<Map<String, Object>, T> row, boolean isOfEvents) {
        this.line = line;
        this.row = row;
        this.isOfEvents = isOfEvents;
    }

    /** Returns the next round, or null when none came in time or the watch has ended, which {@link #hasEnded} tells. */
    public Round<T> next(Duration timeout) {
        if (ahead != null) {
            Round<T> found = ahead;
            ahead = null;
            return found;
        }
        return awaited(Wire.deadline(timeout));
    }

    /** Returns the next round. Blocks until it comes. */
    @Override
    public Round<T> next() {
        if (!hasNext()) {
            throw new NoSuchElementException("the watch has ended");
        }
        Round<T> found = ahead;
        ahead = null;
        return found;
    }

    /** Returns whether another round comes. Blocks until it is there, or the watch has ended. */
    @Override
    public boolean hasNext() {
        if (ahead == null && !hasEnded) {
            ahead = awaited(Long.MAX_VALUE);
        }
        return ahead != null;
    }

    /** Returns the rounds as a stream that closes this watch when it is closed. */
    public Stream<Round<T>> stream() {
        int ordered = Spliterator.ORDERED | Spliterator.NONNULL;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, ordered), false).onClose(this::close);
    }

    /** Returns whether the watch has ended. */
    public boolean hasEnded() {
        return hasEnded && ahead == null;
    }

    private Round<T> awaited(long deadline) {
        hasRead = false; // once in any case: next(Duration.ZERO) takes what is there
        while (!hasEnded) {
            LineReader.Part part;
            try {
                part = part(deadline);
            } catch (GomdException error) {
                if (hasEnded) { // another thread has closed it
                    return null;
                }
                close();
                throw error;
            }
            if (part == null) {
                return null;
            }
            Round<T> found = taken(part);
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    private LineReader.Part part(long deadline) {
        while (true) {
            LineReader.Part part = line.reader().next();
            if (part != null) {
                return part;
            }
            if ((hasRead && System.nanoTime() >= deadline) || !line.wire().awaitEither(false, deadline)) {
                return null;
            }
            byte[] bytes = line.wire().readNow();
            if (bytes == null) {
                throw GomdException.lost("the daemon is gone: " + line.wire().why());
            }
            line.reader().feed(bytes, bytes.length);
            hasRead = true;
        }
    }

    private Round<T> taken(LineReader.Part part) {
        if (part.what() == LineReader.What.END) {
            close();
            return rows.isEmpty() ? null : complete();
        }
        try {
            if (part.what() != LineReader.What.LINE) {
                throw GomdException.refused(part.code(), part.text());
            }
            Map<String, Object> found = Json.object(part.text());
            Values.throwIfFailure(found);
            if (isOfEvents) {
                return new Round<>(++events, List.of(new Round.Seen<>(row.apply(found), null, 0, false, null)));
            }
            return added(found);
        } catch (GomdException error) {
            close();
            throw error;
        }
    }

    private Round<T> added(Map<String, Object> found) {
        long number = Values.number(found, "round");
        long count = Values.number(found, "rows");
        if (count < 0 || count > MAX_ROWS) {
            throw GomdException.malformed("a round of " + count + " rows");
        }
        if (number != round) {
            rows = new ArrayList<>();
            round = number;
        }
        if (count == 0) {
            return complete();
        }
        Long from = Values.longOf(found, "from");
        Double age = Values.doubleOf(found, "rows_age");
        boolean hasLeft = Boolean.TRUE.equals(found.get("left"));
        Long code = found.get("error") instanceof String ? Values.longOf(found, "code") : null;
        GomdException error = code == null ? null : GomdException.refused(code.intValue(), Values.stringOf(found, "error"));
        T value = hasLeft || error != null ? null : row.apply(found);
        rows.add(new Round.Seen<>(value, from, age == null ? 0 : age, hasLeft, error));
        return rows.size() == count ? complete() : null;
    }

    private Round<T> complete() {
        Round<T> found = new Round<>(round, List.copyOf(rows));
        rows = new ArrayList<>();
        return found;
    }

    /** Ends the watch. */
    @Override
    public void close() {
        hasEnded = true;
        line.close();
    }
}
