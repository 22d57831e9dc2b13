package gomd;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A command that is to run, and its surroundings. Immutable: each method returns another description. What is not said is
 * as this process has it (directory, environment), or as the daemon decides.
 */
public final class JobSpec {
    private final Map<String, Object> values;

    private JobSpec(Map<String, Object> values) {
        this.values = values;
    }

    /** Returns the description of a command with its arguments; no shell reads them. */
    public static JobSpec of(String... argv) {
        return of(List.of(argv));
    }

    /** Returns the description of a command with its arguments; no shell reads them. */
    public static JobSpec of(List<String> argv) {
        if (argv.isEmpty() || argv.get(0).isEmpty()) {
            throw GomdException.wrong("a command is missing: name a program, and its arguments behind it");
        }
        for (String word : argv) {
            checked(word);
        }
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("argv", List.copyOf(argv));
        values.put("cwd", Path.of("").toAbsolutePath().toString());
        values.put("env", new LinkedHashMap<>(System.getenv()));
        values.put("umask", 022);
        return new JobSpec(values);
    }

    private static String checked(String text) {
        if (text == null || text.indexOf('\0') >= 0) {
            throw GomdException.wrong("words, environment and paths are text without NUL");
        }
        return text;
    }

    private JobSpec with(String name, Object value) {
        Map<String, Object> found = new LinkedHashMap<>(values);
        found.put(name, value);
        return new JobSpec(found);
    }

    /** Lets it run in this directory. */
    public JobSpec directory(String path) {
        return with("cwd", checked(path));
    }

    /** Lets it have this environment and no other. */
    public JobSpec environment(Map<String, String> environment) {
        environment.forEach((name, value) -> {
            if (checked(name).isEmpty() || name.indexOf('=') >= 0) {
                throw GomdException.wrong("a name of the environment is not empty and has no = in it");
            }
            checked(value);
        });
        return with("env", new LinkedHashMap<>(environment));
    }

    /** Lets it have this file mode creation mask; 022 unless said, as Java does not know that of this process. */
    public JobSpec umask(int mask) {
        return with("umask", mask & 0777);
    }

    /** Lets it run on this node, by id or name; on the best one unless said. */
    public JobSpec node(String node) {
        return with("node", checked(node));
    }

    /** Lets it run on the best of these nodes: {@code 1-4,7}. */
    public JobSpec nodes(String ids) {
        return with("nodes", checked(ids));
    }

    /** Gives it a terminal of this size. */
    public JobSpec terminal(int rows, int columns) {
        return with("tty", true).with("size", List.of(rows, columns));
    }

    /** Lets its errors go into its output. */
    public JobSpec merged() {
        return with("merge", true);
    }

    /** Lets it go on alone; its output is kept for {@link Gomd#attach}. */
    public JobSpec detached() {
        return with("detach", true);
    }

    /** Says whether balancing leaves it where it is. */
    public JobSpec locked(boolean isLocked) {
        return with("lock", isLocked);
    }

    /** Says how many bytes of memory it will need. */
    public JobSpec memory(long bytes) {
        return with("memory", bytes);
    }

    /** Limits its memory, including swap, in bytes. */
    public JobSpec memoryMax(long bytes) {
        return with("memory_max", bytes);
    }

    /** Sets its nice value, -20 to 19; 0 unless said. */
    public JobSpec nice(int nice) {
        return with("nice", nice);
    }

    /** Lets it see the temporary directories of its node, and have none of its own. */
    public JobSpec sharedTmp() {
        return with("shared_tmp", true);
    }

    /** Lets these files and directories travel with it, and come home at its end. */
    public JobSpec carry(String... paths) {
        List<String> found = new ArrayList<>();
        for (String path : paths) {
            found.add(Endpoint.path(checked(path)).toAbsolutePath().normalize().toString());
        }
        return with("carry", found);
    }

    boolean isDetached() {
        return Boolean.TRUE.equals(values.get("detach"));
    }

    byte[] frame() {
        byte[] found = Frames.json(Frames.SPEC, values);
        if (found.length > Frames.MAX_SPEC) {
            throw GomdException.wrong("arguments and environment are too long: put them into a file");
        }
        return found;
    }
}
