// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * The switches of a node.
 *
 * @param status bits of openMosix
 * @param words as in docs/schema
 */
public record Status(
        Long status,
        String words) {
    static Status of(Map<String, Object> row) {
        return new Status(
                Values.longOf(row, "status"),
                Values.stringOf(row, "words"));
    }
}
