// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * What works on a node, or what does not and what mends it.
 *
 * @param check as in docs/schema
 * @param state good or warn or bad
 * @param text as in docs/schema
 * @param mend as in docs/schema
 * @param value seconds since the epoch for clock; bytes for disks, memory and mtu; null when it is not known
 */
public record Finding(
        String check,
        String state,
        String text,
        String mend,
        Double value) {
    static Finding of(Map<String, Object> row) {
        return new Finding(
                Values.stringOf(row, "check"),
                Values.stringOf(row, "state"),
                Values.stringOf(row, "text"),
                Values.stringOf(row, "mend"),
                Values.doubleOf(row, "value"));
    }
}
