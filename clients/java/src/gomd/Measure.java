// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * A value of a node with a name and labels.
 *
 * @param name as in docs/schema
 * @param labels as in docs/schema
 * @param value as in docs/schema
 * @param kind as in docs/schema
 * @param text as in docs/schema
 */
public record Measure(
        String name,
        Map<String, String> labels,
        Double value,
        String kind,
        String text) {
    static Measure of(Map<String, Object> row) {
        return new Measure(
                Values.stringOf(row, "name"),
                Values.labels(row, "labels"),
                Values.doubleOf(row, "value"),
                Values.stringOf(row, "kind"),
                Values.stringOf(row, "text"));
    }
}
