package gomd;

import java.io.IOException;
import java.net.SocketAddress;
import java.net.InetSocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where a daemon may be: {@code tcp:HOST:PORT} or {@code unix:PATH}. */
final class Endpoint {
    private static final int PORT = 2901;
    private static final Pattern TCP = Pattern.compile("tcp:(?:\\[([^\\[\\]]+)\\]|([^:\\[\\]]+)):([0-9]{1,5})");
    /** The verbs that only read and hold nothing secret. */
    private static final Set<String> QUESTIONS = Set.of(
            "help", "version", "whoami", "format", "quit", "stats", "nodes", "node", "load", "speed", "mem", "util", "cpus",
            "status", "map", "ls", "get", "ps", "where", "watch", "events", "doctor", "history", "busiest", "measures",
            "switches");

    private final String text;
    private final Path path;
    private final String host;
    private final int port;
    private final boolean isFound;

    private Endpoint(String text, Path path, String host, int port, boolean isFound) {
        this.text = text;
        this.path = path;
        this.host = host;
        this.port = port;
        this.isFound = isFound;
    }

    static Endpoint parse(String text) {
        return parse(text, false);
    }

    private static Endpoint parse(String text, boolean isFound) {
        if (text.startsWith("unix:") && text.length() > 5 && text.indexOf('\0') < 0) {
            return new Endpoint(text, path(text.substring(5)), null, 0, isFound);
        }
        Matcher found = TCP.matcher(text);
        if (found.matches()) {
            int port = Integer.parseInt(found.group(3));
            if (port > 0 && port < 65536) {
                return new Endpoint(text, null, found.group(1) == null ? found.group(2) : found.group(1), port, isFound);
            }
        }
        throw GomdException.wrong("'" + text + "' is no endpoint: write tcp:HOST:PORT or unix:PATH, for example tcp:127.0.0.1:" + PORT);
    }

    /** Returns a path; a locale without UTF-8 has none for some names. */
    static Path path(String name) {
        try {
            return Path.of(name);
        } catch (InvalidPathException error) {
            throw GomdException.wrong("'" + name + "' is no path here: " + error.getReason());
        }
    }

    /** Returns the endpoints at which this user looks for a daemon. */
    static List<Endpoint> defaults() {
        String named = System.getenv("GOMD_ENDPOINT");
        if (named != null && !named.isEmpty()) {
            return List.of(parse(named));
        }
        List<Endpoint> found = new ArrayList<>();
        if (uid() == 0) {
            found.add(parse("unix:/var/lib/gomd/gomd.sock", true));
        } else {
            String base = System.getenv("XDG_STATE_HOME");
            if (base == null || !base.startsWith("/")) {
                base = System.getProperty("user.home") + "/.local/state";
            }
            found.add(parse("unix:" + base + "/gomd/gomd.sock", true));
            found.add(parse("unix:/run/gomd/gomd.sock", true));
        }
        found.add(parse("tcp:127.0.0.1:" + PORT, true));
        return found;
    }

    SocketAddress address() {
        return path != null ? UnixDomainSocketAddress.of(path) : new InetSocketAddress(host, port);
    }

    boolean isTcp() {
        return path == null;
    }

    @Override
    public String toString() {
        return text;
    }

    /** Returns why a unix socket that was found by default must not be trusted, empty when it may be. */
    String objection() {
        if (!isFound || path == null) {
            return "";
        }
        try {
            for (Path each : List.of(path, path.toAbsolutePath().getParent())) {
                int owner = (Integer) Files.getAttribute(each, "unix:uid");
                if (owner != 0 && owner != uid()) {
                    return each + " is user " + owner + "'s, neither root's nor yours";
                }
            }
            return "";
        } catch (IOException | UnsupportedOperationException error) {
            return "whose it is, is not known";
        }
    }

    /** Refuses to send a request to a port that was found by default, where any program may listen. */
    void check(String verb, List<String> words) {
        if (!isFound || path != null) {
            return;
        }
        int at = 0;
        String decisive = verb;
        if (verb.equalsIgnoreCase("watch")) {
            while (at + 1 < words.size() && words.get(at).matches("-[nc]|@.*")) {
                at += words.get(at).startsWith("-") ? 2 : 1;
            }
            decisive = at < words.size() ? words.get(at) : verb;
        }
        if (!QUESTIONS.contains(decisive.toLowerCase(java.util.Locale.ROOT))) {
            throw new GomdException(GomdException.Kind.UNPROVEN, "'" + decisive + "' is not sent to " + text
                    + ", where any program may listen: start gomd, or name the endpoint of your daemon, in $GOMD_ENDPOINT for example");
        }
    }

    private static int uid() {
        try {
            return (Integer) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        } catch (IOException | UnsupportedOperationException error) {
            return -1;
        }
    }
}
