// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * Nodes with consecutive ids and addresses.
 *
 * @param first node id
 * @param address as in docs/schema
 * @param count as in docs/schema
 */
public record MapRange(
        Long first,
        String address,
        Long count) {
    static MapRange of(Map<String, Object> row) {
        return new MapRange(
                Values.longOf(row, "first"),
                Values.stringOf(row, "address"),
                Values.longOf(row, "count"));
    }
}
