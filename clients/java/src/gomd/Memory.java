// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * The memory of a node in bytes.
 *
 * @param mem bytes; null when it is not known
 * @param rmem bytes; null when it is not known
 * @param tmem bytes; null when it is not known
 */
public record Memory(
        Long mem,
        Long rmem,
        Long tmem) {
    static Memory of(Map<String, Object> row) {
        return new Memory(
                Values.longOf(row, "mem"),
                Values.longOf(row, "rmem"),
                Values.longOf(row, "tmem"));
    }
}
