// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.List;
import java.util.Map;

/**
 * A job, wherever it runs.
 *
 * @param job as in docs/schema
 * @param home node id
 * @param node node id
 * @param pid as in docs/schema; null when it is not known
 * @param user as in docs/schema
 * @param state starting or running or done or lost
 * @param exit as in docs/schema; null when it is not known
 * @param command as in docs/schema
 * @param uid as in docs/schema
 * @param started seconds since the epoch
 * @param ended seconds since the epoch; null when it is not known
 * @param reason as in docs/schema
 * @param nmigs as in docs/schema
 * @param lock as in docs/schema
 * @param detached as in docs/schema
 * @param pidThere as in docs/schema; null when it is not known
 * @param cantmove as in docs/schema
 * @param former as in docs/schema
 * @param memoryMax bytes; null when it is not known
 * @param identity as in docs/schema
 */
public record Job(
        Long job,
        Long home,
        Long node,
        Long pid,
        String user,
        String state,
        Long exit,
        String command,
        Long uid,
        Double started,
        Double ended,
        String reason,
        Long nmigs,
        Boolean lock,
        Boolean detached,
        Long pidThere,
        String cantmove,
        List<Long> former,
        Long memoryMax,
        String identity) {
    static Job of(Map<String, Object> row) {
        return new Job(
                Values.longOf(row, "job"),
                Values.longOf(row, "home"),
                Values.longOf(row, "node"),
                Values.longOf(row, "pid"),
                Values.stringOf(row, "user"),
                Values.stringOf(row, "state"),
                Values.longOf(row, "exit"),
                Values.stringOf(row, "command"),
                Values.longOf(row, "uid"),
                Values.doubleOf(row, "started"),
                Values.doubleOf(row, "ended"),
                Values.stringOf(row, "reason"),
                Values.longOf(row, "nmigs"),
                Values.booleanOf(row, "lock"),
                Values.booleanOf(row, "detached"),
                Values.longOf(row, "pid_there"),
                Values.stringOf(row, "cantmove"),
                Values.listLong(row, "former"),
                Values.longOf(row, "memory_max"),
                Values.stringOf(row, "identity"));
    }
}
