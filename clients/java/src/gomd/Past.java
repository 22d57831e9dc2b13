// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * The values of a field over one step of time.
 *
 * @param time seconds since the epoch
 * @param field as in docs/schema
 * @param min as in docs/schema; null when it is not known
 * @param mean as in docs/schema; null when it is not known
 * @param max as in docs/schema; null when it is not known
 * @param node node id
 * @param by id of the node that remembered it
 */
public record Past(
        Double time,
        String field,
        Double min,
        Double mean,
        Double max,
        Long node,
        Long by) {
    static Past of(Map<String, Object> row) {
        return new Past(
                Values.doubleOf(row, "time"),
                Values.stringOf(row, "field"),
                Values.doubleOf(row, "min"),
                Values.doubleOf(row, "mean"),
                Values.doubleOf(row, "max"),
                Values.longOf(row, "node"),
                Values.longOf(row, "by"));
    }
}
