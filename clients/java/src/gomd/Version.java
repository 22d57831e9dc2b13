// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * The version of the daemon.
 *
 * @param version as in docs/schema
 * @param protocol as in docs/schema
 */
public record Version(
        String version,
        Long protocol) {
    static Version of(Map<String, Object> row) {
        return new Version(
                Values.stringOf(row, "version"),
                Values.longOf(row, "protocol"));
    }
}
