/* The kinds of rows: one table for each, which says where the value of a name goes. */
#define _GNU_SOURCE
#include "row_tables.h"

#include <string.h>

/* The fields as docs/schema/VERB.json has them; a test compares them. R: always there, O: may be missing; N: may be null. */
#define F(type, row, name, nullable, required) {#name, type, nullable, required, offsetof(row, name)}
#define R(type, row, name) F(type, row, name, 0, 1)
#define RN(type, row, name) F(type, row, name, 1, 1)
#define O(type, row, name) F(type, row, name, 0, 0)
#define ON(type, row, name) F(type, row, name, 1, 0)
#define LAST {NULL, INTEGER, 0, 0, 0}

static const struct field node_fields[] = {
    R(INTEGER, gomd_node_row_t, id), R(TEXT, gomd_node_row_t, name), R(TEXT, gomd_node_row_t, address),
    R(INTEGER, gomd_node_row_t, status), R(BOOLEAN, gomd_node_row_t, up), RN(INTEGER, gomd_node_row_t, load),
    RN(INTEGER, gomd_node_row_t, speed), RN(INTEGER, gomd_node_row_t, cpus), RN(INTEGER, gomd_node_row_t, util),
    RN(INTEGER, gomd_node_row_t, mem), RN(INTEGER, gomd_node_row_t, rmem), RN(INTEGER, gomd_node_row_t, tmem),
    RN(NUMBER, gomd_node_row_t, age), O(TEXTS, gomd_node_row_t, addresses), LAST};

static const struct field process_fields[] = {
    O(INTEGER, gomd_process_t, node), O(INTEGER, gomd_process_t, home), O(INTEGER, gomd_process_t, pid),
    O(INTEGER, gomd_process_t, ppid), O(INTEGER, gomd_process_t, uid), O(TEXT, gomd_process_t, user),
    O(TEXT, gomd_process_t, state), ON(INTEGER, gomd_process_t, nice), ON(INTEGER, gomd_process_t, threads),
    ON(NUMBER, gomd_process_t, cpu_percent), ON(NUMBER, gomd_process_t, cpu_seconds), ON(INTEGER, gomd_process_t, rss),
    ON(INTEGER, gomd_process_t, vsize), ON(NUMBER, gomd_process_t, start_time), O(INTEGER, gomd_process_t, where),
    O(INTEGER, gomd_process_t, nmigs), O(BOOLEAN, gomd_process_t, lock), O(TEXT, gomd_process_t, cantmove),
    O(TEXT, gomd_process_t, command), ON(NUMBER, gomd_process_t, read_rate), ON(NUMBER, gomd_process_t, write_rate),
    O(INTEGER, gomd_process_t, started), O(TEXT, gomd_process_t, identity), O(BOOLEAN, gomd_process_t, stuck),
    ON(NUMBER, gomd_process_t, age), O(TEXT, gomd_process_t, name), ON(INTEGER, gomd_process_t, swap),
    ON(INTEGER, gomd_process_t, descriptors), ON(TEXT, gomd_process_t, cgroup), ON(TEXT, gomd_process_t, container),
    ON(INTEGER, gomd_process_t, gpu_memory), LAST};

static const struct field job_fields[] = {
    R(INTEGER, gomd_job_t, job), R(INTEGER, gomd_job_t, home), R(INTEGER, gomd_job_t, node), RN(INTEGER, gomd_job_t, pid),
    R(TEXT, gomd_job_t, user), R(TEXT, gomd_job_t, state), RN(INTEGER, gomd_job_t, exit), R(TEXT, gomd_job_t, command),
    R(INTEGER, gomd_job_t, uid), R(NUMBER, gomd_job_t, started), RN(NUMBER, gomd_job_t, ended),
    R(TEXT, gomd_job_t, reason), R(INTEGER, gomd_job_t, nmigs), R(BOOLEAN, gomd_job_t, lock),
    R(BOOLEAN, gomd_job_t, detached), RN(INTEGER, gomd_job_t, pid_there), R(TEXT, gomd_job_t, cantmove),
    R(INTEGERS, gomd_job_t, former), RN(INTEGER, gomd_job_t, memory_max), R(TEXT, gomd_job_t, identity), LAST};

static const struct field event_fields[] = {
    R(NUMBER, gomd_event_t, time), R(TEXT, gomd_event_t, kind), R(INTEGER, gomd_event_t, node),
    R(TEXT, gomd_event_t, name), R(TEXT, gomd_event_t, reason), R(INTEGER, gomd_event_t, by),
    RN(NUMBER, gomd_event_t, seconds), RN(NUMBER, gomd_event_t, stopped_seconds), RN(INTEGER, gomd_event_t, bytes),
    RN(INTEGER, gomd_event_t, precopied), LAST};

static const struct field range_fields[] = {
    R(INTEGER, gomd_range_t, first), R(TEXT, gomd_range_t, address), R(INTEGER, gomd_range_t, count), LAST};

static const struct field name_fields[] = {R(TEXT, gomd_name_t, name), LAST};

static const struct field stat_fields[] = {
    R(TEXT, gomd_stat_t, name), R(SCALAR, gomd_stat_t, value), R(TEXT, gomd_stat_t, meaning), LAST};

static const struct field caller_fields[] = {
    R(TEXT, gomd_caller_t, role), R(TEXT, gomd_caller_t, user), RN(INTEGER, gomd_caller_t, uid),
    R(TEXT, gomd_caller_t, via), LAST};

static const struct field status_fields[] = {R(INTEGER, gomd_status_t, status), R(TEXT, gomd_status_t, words), LAST};

static const struct field version_fields[] = {
    R(TEXT, gomd_version_t, version), R(INTEGER, gomd_version_t, protocol), LAST};

static const struct field memory_fields[] = {
    RN(INTEGER, gomd_memory_t, mem), RN(INTEGER, gomd_memory_t, rmem), RN(INTEGER, gomd_memory_t, tmem), LAST};

static const struct field file_fields[] = {R(TEXT, gomd_file_t, path), R(TEXT, gomd_file_t, text), LAST};

static const struct field value_fields[] = {LAST};

#define S(type, name) {#name, type, 0, 0, offsetof(struct source, shown) + offsetof(gomd_source_t, name)}
const struct field source_fields[] = {
    S(INTEGER, from), S(INTEGER, code), S(TEXT, error), S(BOOLEAN, left), S(NUMBER, rows_age), S(INTEGER, matched),
    S(INTEGER, total),
    O(INTEGER, struct source, round), O(INTEGER, struct source, rows), LAST};

const struct row_kind row_kinds[ROW_KINDS] = {
    [ROW_VALUE] = {"", value_fields, sizeof(gomd_value_t)},
    [ROW_NODE] = {"nodes", node_fields, sizeof(gomd_node_row_t)},
    [ROW_PROCESS] = {"ps", process_fields, sizeof(gomd_process_t)},
    [ROW_JOB] = {"jobs", job_fields, sizeof(gomd_job_t)},
    [ROW_EVENT] = {"events", event_fields, sizeof(gomd_event_t)},
    [ROW_RANGE] = {"map", range_fields, sizeof(gomd_range_t)},
    [ROW_NAME] = {"ls", name_fields, sizeof(gomd_name_t)},
    [ROW_STAT] = {"stats", stat_fields, sizeof(gomd_stat_t)},
    [ROW_CALLER] = {"whoami", caller_fields, sizeof(gomd_caller_t)},
    [ROW_STATUS] = {"status", status_fields, sizeof(gomd_status_t)},
    [ROW_VERSION] = {"version", version_fields, sizeof(gomd_version_t)},
    [ROW_MEMORY] = {"mem", memory_fields, sizeof(gomd_memory_t)},
    [ROW_FILE] = {"get", file_fields, sizeof(gomd_file_t)},
};

enum kind kind_of_verb(const char *verb) {
    if (strcasecmp(verb, "node") == 0) return ROW_NODE;
    if (strcasecmp(verb, "auth") == 0) return ROW_CALLER;
    for (int kind = 1; kind < ROW_KINDS; kind++)
        if (strcasecmp(verb, row_kinds[kind].verb) == 0) return (enum kind)kind;
    return ROW_VALUE;
}
