// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * Who asks, as the daemon sees it.
 *
 * @param role none or read or user or admin
 * @param user as in docs/schema
 * @param uid as in docs/schema; null when it is not known
 * @param via as in docs/schema
 */
public record Caller(
        String role,
        String user,
        Long uid,
        String via) {
    static Caller of(Map<String, Object> row) {
        return new Caller(
                Values.stringOf(row, "role"),
                Values.stringOf(row, "user"),
                Values.longOf(row, "uid"),
                Values.stringOf(row, "via"));
    }
}
