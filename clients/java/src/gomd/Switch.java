// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * A switch of a node: who set it, when and why.
 *
 * @param name as in docs/schema
 * @param set as in docs/schema
 * @param since seconds since the epoch; null when it is not known
 * @param by as in docs/schema; null when it is not known
 * @param reason as in docs/schema; null when it is not known
 */
public record Switch(
        String name,
        Boolean set,
        Double since,
        String by,
        String reason) {
    static Switch of(Map<String, Object> row) {
        return new Switch(
                Values.stringOf(row, "switch"),
                Values.booleanOf(row, "set"),
                Values.doubleOf(row, "since"),
                Values.stringOf(row, "by"),
                Values.stringOf(row, "reason"));
    }
}
