import gomd.Gomd;
import gomd.GomdException;
import gomd.Round;
import gomd.RunningJob;
import gomd.Watch;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.RecordComponent;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Makes calls of the library in Java; see drivers.py. */
public class Driver {
    private static final Set<String> BLOCKS = Set.of("nodes", "ps", "jobs", "stats", "help");
    private Gomd gomd;
    private Watch<Map<String, Object>> watch;
    private RunningJob job;

    /** JSON that is written as it is. */
    private record Raw(String text) {}

    private static byte[] bytes(int count) {
        byte[] found = new byte[count];
        for (int at = 0; at < count; at++) {
            found[at] = (byte) ((at * 2654435761L & 0xFFFFFFFFL) >> 13);
        }
        return found;
    }

    private static Duration seconds(String text) {
        return Duration.ofMillis(Math.round(Double.parseDouble(text) * 1000));
    }

    private static Map<String, Object> map(Object... pairs) {
        Map<String, Object> found = new LinkedHashMap<>();
        for (int at = 0; at < pairs.length; at += 2) {
            found.put((String) pairs[at], pairs[at + 1]);
        }
        return found;
    }

    private Object read(String verb, String... words) throws ReflectiveOperationException {
        return switch (verb) {
            case "ps", "nodes", "node", "jobs", "map", "help", "doctor", "busiest", "switches", "load", "speed", "cpus", "util", "mem",
                    "status", "whoami", "version" -> Gomd.class.getMethod(verb).invoke(gomd);
            case "events" -> gomd.events(words);
            case "stats" -> gomd.stats(words);
            case "measures" -> gomd.measures("");
            case "history" -> gomd.history(words[0], words[1]);
            case "ls" -> gomd.ls(words[0]);
            case "get" -> gomd.get(words[0]);
            case "where" -> gomd.where(Long.parseLong(words[0]));
            default -> throw new IllegalArgumentException(verb);
        };
    }

    private Object next() {
        List<Object> found = new ArrayList<>();
        for (Round.Seen<Map<String, Object>> each : watch.next(Duration.ofSeconds(20)).rows()) {
            found.add(map("from", each.from(), "age", each.age(), "left", each.hasLeft(),
                    "code", each.error() == null ? null : each.error().code(),
                    "value", each.value() == null ? null : each.value().get("value")));
        }
        return found;
    }

    private Object both(int count) {
        byte[] sent = bytes(count);
        RunningJob.Printed printed = job.communicate(sent, Duration.ofMinutes(2));
        boolean isSame = Arrays.equals(sent, printed.stdout()) && printed.stderr().length == 0;
        return map("same", isSame, "bytes", printed.stdout().length, "status", job.status());
    }

    private Object output(int count) {
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        for (RunningJob.Chunk each = job.read(); each != null; each = job.read()) {
            output.writeBytes(each.bytes());
        }
        boolean isSame = Arrays.equals(bytes(count), output.toByteArray());
        return map("same", isSame, "bytes", output.size(), "status", job.status());
    }

    private Object call(String name, String... words) throws ReflectiveOperationException {
        switch (name) {
            case "connect" -> gomd = Gomd.connect(words[0], seconds(words[1]), words.length > 2 ? words[2] : "");
            case "ask" -> {
                List<String> lines = gomd.call(words[0], Arrays.copyOfRange(words, 1, words.length));
                String text = String.join(", ", lines);
                return new Raw(BLOCKS.contains(words[0]) ? "[" + text + "]" : text);
            }
            case "read" -> {
                return read(words[0], Arrays.copyOfRange(words, 1, words.length));
            }
            case "watch" -> watch = gomd.on(words[0]).watch(seconds(words[1]), words[2]);
            case "next" -> {
                return next();
            }
            case "unwatch" -> watch.close();
            case "run" -> job = gomd.run(words);
            case "attach" -> job = gomd.attach(Long.parseLong(words[0]));
            case "both" -> {
                return both(Integer.parseInt(words[0]));
            }
            case "output" -> {
                return output(Integer.parseInt(words[0]));
            }
            case "wait" -> {
                return job.await(seconds(words[0]));
            }
            case "signal" -> job.signal(Integer.parseInt(words[0]), true);
            case "leave" -> job.close();
            default -> throw new IllegalArgumentException(name);
        }
        return name.equals("run") || name.equals("attach") ? map("job", job.number()) : null;
    }

    private static void write(StringBuilder out, Object value) throws ReflectiveOperationException {
        if (value instanceof Raw raw) {
            out.append(raw.text());
        } else if (value instanceof Record) {
            Map<String, Object> values = new LinkedHashMap<>();
            for (RecordComponent each : value.getClass().getRecordComponents()) {
                values.put(each.getName().replaceAll("([A-Z])", "_$1").toLowerCase(), each.getAccessor().invoke(value));
            }
            write(out, values);
        } else if (value instanceof Map<?, ?> map) {
            String separator = "{";
            for (Map.Entry<?, ?> each : map.entrySet()) {
                write(out.append(separator), each.getKey());
                write(out.append(": "), each.getValue());
                separator = ", ";
            }
            out.append(map.isEmpty() ? "{}" : "}");
        } else if (value instanceof List<?> list) {
            String separator = "[";
            for (Object each : list) {
                write(out.append(separator), each);
                separator = ", ";
            }
            out.append(list.isEmpty() ? "[]" : "]");
        } else if (value instanceof String text) {
            out.append('"');
            text.chars().forEach(each -> out.append(each < ' ' || each > '~' || each == '"' || each == '\\'
                    ? String.format("\\u%04x", each) : String.valueOf((char) each)));
            out.append('"');
        } else {
            out.append(value);
        }
    }

    public static void main(String[] none) throws Exception {
        Driver driver = new Driver();
        sun.misc.Signal.handle(new sun.misc.Signal("USR1"), signal -> {});
        PrintStream output = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split("\t", -1);
            Map<String, Object> answer;
            try {
                answer = map("ok", driver.call(words[0], Arrays.copyOfRange(words, 1, words.length)));
            } catch (GomdException error) {
                answer = failed(error);
            } catch (java.lang.reflect.InvocationTargetException error) {
                answer = failed((GomdException) error.getCause());
            }
            StringBuilder out = new StringBuilder();
            write(out, answer);
            output.println(out);
        }
    }

    private static Map<String, Object> failed(GomdException error) {
        StringBuilder kind = new StringBuilder();
        for (String part : error.kind().name().split("_")) {
            kind.append(part.charAt(0)).append(part.substring(1).toLowerCase());
        }
        return map("error", kind.toString(), "code", error.code(), "text", error.getMessage());
    }
}
