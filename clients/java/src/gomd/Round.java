package gomd;

import java.util.List;

/**
 * One round of a watch.
 *
 * @param number which round it is
 * @param rows what each node said; of a watch of one node, its rows
 * @param <T> what a row is
 */
public record Round<T>(long number, List<Seen<T>> rows) {
    /**
     * A row of a round.
     *
     * @param value the row; null for a node that has no answer or has left
     * @param from the id of the node, null when only the daemon that is asked is watched
     * @param age seconds since the rows of this node were fresh: 0, or more while it is silent
     * @param hasLeft whether the node has left the cluster
     * @param error why the node has never answered, null when it has
     * @param <T> what a row is
     */
    public record Seen<T>(T value, Long from, double age, boolean hasLeft, GomdException error) {}
}
