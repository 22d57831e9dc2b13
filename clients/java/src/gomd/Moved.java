// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * How a process has moved.
 *
 * @param pid as in docs/schema
 * @param node node id
 * @param seconds seconds
 * @param moved as in docs/schema
 */
public record Moved(
        Long pid,
        Long node,
        Double seconds,
        Boolean moved) {
    static Moved of(Map<String, Object> row) {
        return new Moved(
                Values.longOf(row, "pid"),
                Values.longOf(row, "node"),
                Values.doubleOf(row, "seconds"),
                Values.booleanOf(row, "moved"));
    }
}
