// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * Something that happened in the cluster.
 *
 * @param time seconds since the epoch
 * @param kind join or leave or down or up or suspect or migrated or started or ended or checkpoint
 * @param node node id
 * @param name as in docs/schema
 * @param reason as in docs/schema
 * @param by node id
 * @param seconds seconds; null when it is not known
 * @param stoppedSeconds seconds; null when it is not known
 * @param bytes bytes; null when it is not known
 * @param precopied bytes; null when it is not known
 */
public record Event(
        Double time,
        String kind,
        Long node,
        String name,
        String reason,
        Long by,
        Double seconds,
        Double stoppedSeconds,
        Long bytes,
        Long precopied) {
    static Event of(Map<String, Object> row) {
        return new Event(
                Values.doubleOf(row, "time"),
                Values.stringOf(row, "kind"),
                Values.longOf(row, "node"),
                Values.stringOf(row, "name"),
                Values.stringOf(row, "reason"),
                Values.longOf(row, "by"),
                Values.doubleOf(row, "seconds"),
                Values.doubleOf(row, "stopped_seconds"),
                Values.longOf(row, "bytes"),
                Values.longOf(row, "precopied"));
    }
}
