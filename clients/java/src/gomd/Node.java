// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.List;
import java.util.Map;

/**
 * A node of the cluster as the verb {@code nodes} lists it.
 *
 * @param id node id
 * @param name as in docs/schema
 * @param address as in docs/schema
 * @param status bits of openMosix
 * @param up as in docs/schema
 * @param load hundredths of a standard processor; null when it is not known
 * @param speed 15000 for a standard processor; null when it is not known
 * @param cpus as in docs/schema; null when it is not known
 * @param util percent of one processor; null when it is not known
 * @param mem bytes; null when it is not known
 * @param rmem bytes; null when it is not known
 * @param tmem bytes; null when it is not known
 * @param age seconds; null when it is not known
 * @param addresses as in docs/schema
 */
public record Node(
        Long id,
        String name,
        String address,
        Long status,
        Boolean up,
        Long load,
        Long speed,
        Long cpus,
        Long util,
        Long mem,
        Long rmem,
        Long tmem,
        Double age,
        List<String> addresses) {
    static Node of(Map<String, Object> row) {
        return new Node(
                Values.longOf(row, "id"),
                Values.stringOf(row, "name"),
                Values.stringOf(row, "address"),
                Values.longOf(row, "status"),
                Values.booleanOf(row, "up"),
                Values.longOf(row, "load"),
                Values.longOf(row, "speed"),
                Values.longOf(row, "cpus"),
                Values.longOf(row, "util"),
                Values.longOf(row, "mem"),
                Values.longOf(row, "rmem"),
                Values.longOf(row, "tmem"),
                Values.doubleOf(row, "age"),
                Values.listString(row, "addresses"));
    }
}
