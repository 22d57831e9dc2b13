// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.Map;

/**
 * A process; of a selection by fields only these are known.
 *
 * @param node node id
 * @param home node id
 * @param pid as in docs/schema
 * @param ppid as in docs/schema
 * @param uid as in docs/schema
 * @param user as in docs/schema
 * @param state as in docs/schema
 * @param nice as in docs/schema; null when it is not known
 * @param threads as in docs/schema; null when it is not known
 * @param cpuPercent percent of one processor; null when it is not known
 * @param cpuSeconds seconds; null when it is not known
 * @param rss bytes; null when it is not known
 * @param vsize bytes; null when it is not known
 * @param startTime seconds since the epoch; null when it is not known
 * @param where node id, 0 at home
 * @param nmigs as in docs/schema
 * @param lock as in docs/schema
 * @param cantmove as in docs/schema
 * @param command as in docs/schema
 * @param readRate bytes a second; null when it is not known
 * @param writeRate bytes a second; null when it is not known
 * @param started clock ticks after the boot of its home
 * @param identity as in docs/schema
 * @param stuck as in docs/schema
 * @param age seconds; null when it is not known
 * @param name as in docs/schema
 * @param swap bytes; null when it is not known
 * @param descriptors as in docs/schema; null when it is not known
 * @param cgroup as in docs/schema; null when it is not known
 * @param container as in docs/schema; null when it is not known
 * @param gpuMemory bytes; null when it is not known
 */
public record ClusterProcess(
        Long node,
        Long home,
        Long pid,
        Long ppid,
        Long uid,
        String user,
        String state,
        Long nice,
        Long threads,
        Double cpuPercent,
        Double cpuSeconds,
        Long rss,
        Long vsize,
        Double startTime,
        Long where,
        Long nmigs,
        Boolean lock,
        String cantmove,
        String command,
        Double readRate,
        Double writeRate,
        Long started,
        String identity,
        Boolean stuck,
        Double age,
        String name,
        Long swap,
        Long descriptors,
        String cgroup,
        String container,
        Long gpuMemory) {
    static ClusterProcess of(Map<String, Object> row) {
        return new ClusterProcess(
                Values.longOf(row, "node"),
                Values.longOf(row, "home"),
                Values.longOf(row, "pid"),
                Values.longOf(row, "ppid"),
                Values.longOf(row, "uid"),
                Values.stringOf(row, "user"),
                Values.stringOf(row, "state"),
                Values.longOf(row, "nice"),
                Values.longOf(row, "threads"),
                Values.doubleOf(row, "cpu_percent"),
                Values.doubleOf(row, "cpu_seconds"),
                Values.longOf(row, "rss"),
                Values.longOf(row, "vsize"),
                Values.doubleOf(row, "start_time"),
                Values.longOf(row, "where"),
                Values.longOf(row, "nmigs"),
                Values.booleanOf(row, "lock"),
                Values.stringOf(row, "cantmove"),
                Values.stringOf(row, "command"),
                Values.doubleOf(row, "read_rate"),
                Values.doubleOf(row, "write_rate"),
                Values.longOf(row, "started"),
                Values.stringOf(row, "identity"),
                Values.booleanOf(row, "stuck"),
                Values.doubleOf(row, "age"),
                Values.stringOf(row, "name"),
                Values.longOf(row, "swap"),
                Values.longOf(row, "descriptors"),
                Values.stringOf(row, "cgroup"),
                Values.stringOf(row, "container"),
                Values.longOf(row, "gpu_memory"));
    }
}
