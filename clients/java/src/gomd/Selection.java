package gomd;

import java.util.ArrayList;
import java.util.List;

/**
 * Which processes {@code ps} lists, and which of their values; the node that has them selects. Immutable: each method
 * returns another selection.
 */
public final class Selection {
    private static final Selection ALL = new Selection(List.of());
    private final List<String> words;

    private Selection(List<String> words) {
        this.words = words;
    }

    private Selection with(String... more) {
        List<String> found = new ArrayList<>(words);
        found.addAll(List.of(more));
        return new Selection(List.copyOf(found));
    }

    /** Returns the selection of all processes. */
    public static Selection all() {
        return ALL;
    }

    /** Returns the selection of these process ids. */
    public static Selection pids(long... pids) {
        Selection found = ALL;
        for (long pid : pids) {
            found = found.with(Long.toString(pid));
        }
        return found;
    }

    /** Selects the first so many. */
    public Selection top(int count) {
        return with("--top", Integer.toString(count));
    }

    /** Sorts by cpu, rss, time, io, pid or start. */
    public Selection sort(String key) {
        return with("--sort", key);
    }

    /** Selects those of a user, by name or number. */
    public Selection user(String name) {
        return with("--user", name);
    }

    /** Selects those with this text in their name or command line. */
    public Selection match(String text) {
        return with("--match", text);
    }

    /** Selects those of jobs. */
    public Selection jobs() {
        return with("--jobs");
    }

    /** Asks for these values only, by their names in docs/verbs.md; the others are null. */
    public Selection fields(String... names) {
        return with("--fields", String.join(",", names));
    }

    /** Asks for a moment of the past: {@code -1h}, seconds since the epoch, or ISO 8601. */
    public Selection at(String moment) {
        return with("--at", moment);
    }

    List<String> words() {
        return words;
    }
}
