// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * What the daemon has counted since it started.
 *
 * @param name as in docs/schema
 * @param value as in docs/schema
 * @param meaning as in docs/schema
 */
public record Counter(
        String name,
        Object value,
        String meaning) {
    static Counter of(Map<String, Object> row) {
        return new Counter(
                Values.stringOf(row, "name"),
                Values.any(row, "value"),
                Values.stringOf(row, "meaning"));
    }
}
