package gomd;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;

/**
 * Asks gomd about every machine of a cluster, and runs commands on it.
 *
 * <pre>{@code
 * try (Gomd gomd = Gomd.connect()) {
 *     gomd.nodes().forEach(node -> System.out.println(node.name() + " " + node.load()));
 *     System.out.println(gomd.on("beta").load());
 * }
 * }</pre>
 *
 * <p>Any daemon of the cluster answers for all. A call blocks until the answer is there, at most for the timeout; {@link #later}
 * does not block. Values are those of docs/schema, null for what is not known. What goes wrong is a {@link GomdException}. After a
 * timeout, and after an answer that is none, the connection is closed, so that no answer is taken for that of another
 * question. Any thread may call; the calls of one client follow each other.
 */
public final class Gomd implements AutoCloseable {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    /** What the clients share that ask different nodes over one connection. */
    private static final class Shared {
        final Line line;
        final Duration timeout;
        final String token;
        final Object executorLock = new Object();
        ExecutorService executor;
        boolean isClosed;

        Shared(Line line, Duration timeout, String token) {
            this.line = line;
            this.timeout = timeout;
            this.token = token;
        }
    }

    private final Shared shared;
    private final String node;

    private Gomd(Shared shared, String node) {
        this.shared = shared;
        this.node = node;
    }

    /**
     * Connects to the daemon that {@code GOMD_ENDPOINT} names, otherwise to the user's own, to root's, or to port 2901 of this
     * machine, to which only verbs that read are sent. {@code GOMD_TOKEN} raises the role over tcp.
     */
    public static Gomd connect() {
        return connect(null, TIMEOUT, null);
    }

    /** Connects to {@code tcp:HOST:PORT} or {@code unix:PATH}. */
    public static Gomd connect(String endpoint) {
        return connect(endpoint, TIMEOUT, null);
    }

    /**
     * Connects to a daemon.
     *
     * @param endpoint {@code tcp:HOST:PORT} or {@code unix:PATH}; null for the places that {@link #connect()} looks at
     * @param timeout for connecting, and for each answer
     * @param token raises the role over tcp; null for {@code GOMD_TOKEN}
     */
    public static Gomd connect(String endpoint, Duration timeout, String token) {
        List<Endpoint> places = endpoint == null ? Endpoint.defaults() : List.of(Endpoint.parse(endpoint));
        String named = token != null ? token : System.getenv("GOMD_TOKEN");
        String known = named == null ? "" : named;
        Duration bounded = Wire.bounded(timeout);
        return new Gomd(new Shared(new Line(places, bounded, known), bounded, known), "");
    }

    /** Returns a client that asks another node, by id or name, over the same connection; {@code all} for every node that is up. */
    public Gomd on(String name) {
        return new Gomd(shared, name);
    }

    /** Does something with this client on a thread of its own, and completes with what it returns. */
    public <T> CompletableFuture<T> later(Function<Gomd, T> what) {
        synchronized (shared.executorLock) {
            if (shared.isClosed) {
                return CompletableFuture.failedFuture(GomdException.lost("this connection is closed"));
            }
            if (shared.executor == null) {
                shared.executor = Executors.newSingleThreadExecutor(work -> {
                    Thread thread = new Thread(work, "gomd");
                    thread.setDaemon(true);
                    return thread;
                });
            }
            return CompletableFuture.supplyAsync(() -> what.apply(this), shared.executor);
        }
    }

    /** Closes the connection. A call that waits in another thread fails. */
    @Override
    public void close() {
        shared.line.close();
        synchronized (shared.executorLock) {
            shared.isClosed = true;
            if (shared.executor != null) {
                shared.executor.shutdown();
            }
        }
    }

    // -- any verb

    private Line.Reply ask(String verb, List<String> words) {
        synchronized (shared) {
            return shared.line.ask(verb, words, node, shared.timeout);
        }
    }

    /** Asks any verb, also one that a later daemon has: the lines of its block, or the text of its status line. */
    public List<String> call(String verb, String... words) {
        Line.Reply reply = ask(verb, List.of(words));
        return reply.code() == 201 ? reply.lines() : List.of(reply.text());
    }

    private <T> List<T> rows(Function<Map<String, Object>, T> row, String verb, List<String> words) {
        Line.Reply reply = ask(verb, words);
        if (reply.code() != 201) {
            throw GomdException.malformed("the answer to " + verb + " is a " + reply.code() + " and has no rows");
        }
        List<T> found = new ArrayList<>(reply.lines().size());
        for (String line : reply.lines()) {
            found.add(row.apply(closingIfWrong(line)));
        }
        return found;
    }

    private Map<String, Object> closingIfWrong(String text) {
        try {
            return Json.object(text);
        } catch (GomdException error) {
            shared.line.close();
            throw error;
        }
    }

    /** Returns the text of a 200, a JSON value. */
    private String value(String verb, String... words) {
        Line.Reply reply = ask(verb, List.of(words));
        if (reply.code() != 200) {
            throw GomdException.malformed("the answer to " + verb + " has rows, one for each node: `call` gives them");
        }
        return reply.text();
    }

    private Map<String, Object> object(String verb, String... words) {
        return closingIfWrong(value(verb, words));
    }

    private Long number(String verb, String... words) {
        Object found = Json.parse(value(verb, words));
        if (found != null && !(found instanceof Long)) {
            throw GomdException.malformed(verb + " is no whole number");
        }
        return (Long) found;
    }

    private void order(String verb, Object... words) {
        List<String> texts = new ArrayList<>();
        for (Object word : words) {
            texts.add(String.valueOf(word));
        }
        ask(verb, texts);
    }

    // -- verbs that read

    /** Returns every node of the cluster. */
    public List<Node> nodes() {
        return rows(Node::of, "nodes", List.of());
    }

    /** Returns the node that is asked. */
    public Node node() {
        List<Node> found = rows(Node::of, "node", List.of());
        if (found.isEmpty()) {
            throw GomdException.malformed("the answer to node has no row");
        }
        return found.get(0);
    }

    /** Returns all processes. */
    public List<ClusterProcess> ps() {
        return ps(Selection.all());
    }

    /** Returns processes. */
    public List<ClusterProcess> ps(Selection selection) {
        return rows(ClusterProcess::of, "ps", selection.words());
    }

    /** Returns the ten processes that use most processor time, and the ten that use most memory. */
    public List<ClusterProcess> busiest() {
        return rows(ClusterProcess::of, "busiest", List.of());
    }

    /** Returns the jobs of the node that is asked. */
    public List<Job> jobs() {
        return rows(Job::of, "jobs", List.of());
    }

    /** Returns what has happened; the words are the verb's options: {@code "--since=1h"}. */
    public List<Event> events(String... options) {
        return rows(Event::of, "events", List.of(options));
    }

    /** Returns values over time; fields are names with commas, options such as {@code "--since=12h"}. */
    public List<Past> history(String of, String fields, String... options) {
        List<String> words = new ArrayList<>(List.of(of, fields));
        words.addAll(List.of(options));
        return rows(Past::of, "history", words);
    }

    /** Returns file systems, processor time by mode, sockets and more, those whose name begins so; all for an empty name. */
    public List<Measure> measures(String name) {
        return rows(Measure::of, "measures", name.isEmpty() ? List.of() : List.of(name));
    }

    /** Returns what the daemon has counted since it started. */
    public List<Counter> stats(String... names) {
        return rows(Counter::of, "stats", List.of(names));
    }

    /** Returns what works on the node that is asked, and what does not. */
    public List<Finding> doctor() {
        return rows(Finding::of, "doctor", List.of());
    }

    /** Returns who set the switches of the node that is asked, when and why. */
    public List<Switch> switches() {
        return rows(Switch::of, "switches", List.of());
    }

    /** Returns the nodes with consecutive ids and addresses. */
    public List<MapRange> map() {
        return rows(MapRange::of, "map", List.of());
    }

    /** Returns the names in a directory of the tree. */
    public List<String> ls(String path) {
        return rows(row -> Values.stringOf(row, "name"), "ls", List.of(path));
    }

    /** Returns the verbs of the daemon. */
    public List<VerbHelp> help() {
        return rows(VerbHelp::of, "help", List.of());
    }

    /** Returns the load: 100 is one process that could always run, on a standard processor; null when the node is down. */
    public Long load() {
        return number("load");
    }

    /** Returns the speed of a processor, 15000 for a standard one; null when the node is down. */
    public Long speed() {
        return number("speed");
    }

    /** Returns the number of processors; null when the node is down. */
    public Long cpus() {
        return number("cpus");
    }

    /** Returns 100 for each processor that can be used; null when the node is down. */
    public Long util() {
        return number("util");
    }

    /** Returns the memory in bytes, null when the node is down. */
    public Memory mem() {
        Object found = Json.parse(value("mem"));
        return found == null ? null : Memory.of(object("mem"));
    }

    /** Returns the switches of the node. */
    public Status status() {
        return Status.of(object("status"));
    }

    /** Returns who asks, as the daemon sees it. */
    public Caller whoami() {
        return Caller.of(object("whoami"));
    }

    /** Returns the version of the daemon. */
    public Version version() {
        return Version.of(object("version"));
    }

    /** Returns the text of a file of the tree. */
    public String get(String path) {
        return FileText.of(object("get", path)).text();
    }

    /** Returns the id of the node on which a process runs, by its PID here. */
    public long where(long pid) {
        return whereabouts(Long.toString(pid));
    }

    /**
     * Returns the id of the node on which a process runs now: {@code getCurNode} of gomd's first plan.
     *
     * @param home the id of its home node; 0 for the node that is asked
     * @param pid its process id there
     */
    public long getCurNode(int home, long pid) {
        return home == 0 ? where(pid) : whereabouts(Long.toString(pid), Integer.toString(home));
    }

    private long whereabouts(String... words) {
        Long found = number("where", words);
        if (found == null) {
            throw GomdException.malformed("where is no whole number");
        }
        return found;
    }

    // -- verbs that change something

    /** Sends a signal, by number or name, to a process, by PID or identity. */
    public void signal(String process, String signal) {
        order("signal", process, signal);
    }

    /** Sets the nice value of a process. */
    public void renice(String process, int nice) {
        order("renice", process, nice);
    }

    /** Moves a process, with its whole job, to a node, {@code home} or {@code best}; returns when it runs there. */
    public Moved migrate(String process, String target) {
        return Moved.of(object("migrate", process, target));
    }

    /** Sees whether a process could move, and moves nothing. */
    public Moved tryMigrate(String process, String target) {
        return Moved.of(object("migrate", process, target, "dry-run"));
    }

    /** Lets balancing leave a process where it is. */
    public void lock(String process) {
        order("lock", process);
    }

    /** Lets balancing move a process. */
    public void unlock(String process) {
        order("unlock", process);
    }

    /** Sends a signal to a job, wherever it runs. */
    public void kill(long job, String signal) {
        order("kill", job, signal);
    }

    /** Writes a value of the tree. */
    public void put(String path, String value) {
        order("put", path, value);
    }

    /** Sets a switch of the node: stay, nostay, lstay, nolstay, block, noblock, quiet or noquiet; the words of the reason. */
    public Status setSwitch(String verb, String... reason) {
        return Status.of(object(verb, reason));
    }

    // -- watches

    private <T> Watch<T> watch(Function<Map<String, Object>, T> row, Duration period, String verb, List<String> words) {
        List<String> all = new ArrayList<>(List.of("-n", Double.toString(period.toMillis() / 1000.0)));
        if (!node.isEmpty()) {
            all.add("@" + node);
        }
        all.add(verb);
        all.addAll(words);
        Line line = again(shared.timeout);
        try {
            LineReader.Part status = line.begin("watch", all, "", Wire.deadline(shared.timeout));
            if (status.code() != 201) {
                throw GomdException.malformed("a watch that begins with " + status.code());
            }
            return new Watch<>(line, row, verb.equals("events") && node.isEmpty());
        } catch (GomdException error) {
            line.close();
            throw error;
        }
    }

    private Line again(Duration timeout) {
        return new Line(List.of(shared.line.endpoint()), timeout, shared.token);
    }

    /** Watches processes; of several nodes with {@code on("all")}. */
    public Watch<ClusterProcess> watchPs(Selection selection, Duration period) {
        return watch(ClusterProcess::of, period, "ps", selection.words());
    }

    /** Watches the nodes of the cluster. */
    public Watch<Node> watchNodes(Duration period) {
        return watch(Node::of, period, "nodes", List.of());
    }

    /** Watches jobs. */
    public Watch<Job> watchJobs(Duration period) {
        return watch(Job::of, period, "jobs", List.of());
    }

    /** Watches what happens in the cluster, event by event. */
    public Watch<Event> watchEvents() {
        return watch(Event::of, Duration.ofSeconds(1), "events", List.of());
    }

    /** Watches any verb; a row is a map of its values, of a verb with one value {@code value}. */
    public Watch<Map<String, Object>> watch(Duration period, String verb, String... words) {
        return watch(row -> row, period, verb, List.of(words));
    }

    // -- jobs

    /** Runs a command on the best node, as the user who asks; returns once it runs. No shell reads the words. */
    public RunningJob run(String... argv) {
        return run(JobSpec.of(argv));
    }

    /** Runs a command; returns once it runs. A detached one goes on alone: {@link #attach} has its streams. */
    public RunningJob run(JobSpec spec) {
        JobSpec wanted = node.isEmpty() ? spec : spec.node(node);
        RunningJob job = streams("run", List.of(), wanted.frame());
        if (wanted.isDetached()) {
            job.close();
        }
        return job;
    }

    /** Runs a command with all of its input. */
    public RunningJob run(JobSpec spec, byte[] input) {
        RunningJob job = run(spec);
        job.feed(input);
        return job;
    }

    /** Returns the streams of a job that runs already, or has ended and was detached. */
    public RunningJob attach(long number) {
        return streams("attach", List.of(Long.toString(number)), new byte[0]);
    }

    private RunningJob streams(String verb, List<String> words, byte[] spec) {
        RunningJob.Reopen reopen = (job, limit) -> open("attach", List.of(Long.toString(job)), new byte[0], limit);
        return new RunningJob(open(verb, words, spec, shared.timeout), reopen, shared.timeout, Duration.ofSeconds(30));
    }

    private RunningJob.Streams open(String verb, List<String> words, byte[] spec, Duration limit) {
        Line line = again(limit);
        try {
            long deadline = Wire.deadline(limit);
            LineReader.Part status = line.begin(verb, words, "", deadline);
            if (status.code() != 202) {
                throw GomdException.malformed("it does not carry the streams of a job");
            }
            if (!line.wire().writeAll(spec, deadline)) {
                throw GomdException.lost("the daemon is gone: " + line.wire().why());
            }
            return new RunningJob.Streams(line.wire(), line.reader().rest());
        } catch (GomdException error) {
            line.close();
            throw error;
        }
    }
}
