// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * The text of a file of the tree.
 *
 * @param path as in docs/schema
 * @param text unprintable bytes as \xNN
 */
public record FileText(
        String path,
        String text) {
    static FileText of(Map<String, Object> row) {
        return new FileText(
                Values.stringOf(row, "path"),
                Values.stringOf(row, "text"));
    }
}
