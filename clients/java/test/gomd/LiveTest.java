package gomd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** A conversation with the daemon that GOMD_ENDPOINT names, node 1; it is that of the user who runs this. */
@Timeout(180)
@EnabledIfEnvironmentVariable(named = "GOMD_ENDPOINT", matches = ".+")
class LiveTest {
    private static final Duration LONG = Duration.ofSeconds(60);
    private static Gomd gomd;

    @BeforeAll
    static void connect() {
        gomd = Gomd.connect();
    }

    @AfterAll
    static void close() {
        gomd.close();
        assertEquals(GomdException.Kind.CONNECTION_LOST, assertThrows(GomdException.class, gomd::load).kind());
    }

    private static void refused(GomdException.Kind kind, int code, Runnable what) {
        GomdException error = assertThrows(GomdException.class, what::run);
        assertEquals(kind, error.kind(), error.getMessage());
        assertEquals(code, error.code());
        assertTrue(error.getMessage().contains(" "), error.getMessage());
    }

    @Test
    void everyVerbThatReads() {
        long pid = ProcessHandle.current().pid();
        assertEquals(1, gomd.node().id());
        assertEquals(1, gomd.nodes().stream().filter(Node::up).count());
        assertTrue(gomd.load() >= 0 && gomd.speed() > 0 && gomd.cpus() > 0 && gomd.util() >= 0);
        assertTrue(gomd.on("1").load() >= 0);
        assertTrue(gomd.mem().tmem() > 1_000_000);
        assertTrue(gomd.status().words().contains("up"));
        assertNotNull(gomd.whoami().uid());
        assertTrue(gomd.version().version().matches("[0-9]+\\..*"));
        assertEquals(pid, gomd.ps(Selection.pids(pid)).get(0).pid());
        assertEquals(3, gomd.ps(Selection.all().top(3).sort("rss").fields("pid", "rss")).size());
        assertNull(gomd.ps(Selection.all().top(1).fields("pid")).get(0).command());
        assertTrue(gomd.ps().size() > 3);
        assertEquals(1, gomd.where(pid));
        assertEquals(1, gomd.getCurNode(1, pid));
        assertEquals(1, gomd.getCurNode(0, pid));
        assertTrue(gomd.get("/proc/loadavg").matches("(?s)[0-9.]+ .*"));
        assertTrue(gomd.ls("/proc").contains("loadavg"));
        assertTrue(gomd.help().size() > 40);
        assertTrue(gomd.measures("").size() > 3);
        assertEquals("telnet_requests", gomd.stats("telnet_requests").get(0).name());
        assertNotNull(gomd.events());
        assertNotNull(gomd.jobs());
        assertNotNull(gomd.map());
        assertFalse(gomd.doctor().isEmpty());
        assertFalse(gomd.busiest().isEmpty());
        assertEquals(1, gomd.call("load").size());
    }

    @Test
    void refusals() {
        refused(GomdException.Kind.NOT_FOUND, 404, () -> gomd.where(4_000_000));
        refused(GomdException.Kind.NOT_FOUND, 404, () -> gomd.on("nobody").load());
        refused(GomdException.Kind.MALFORMED_REQUEST, 400, () -> gomd.call("frobnicate"));
        refused(GomdException.Kind.MALFORMED_REQUEST, 400, () -> gomd.get("/proc/\nload"));
        assertTrue(gomd.load() >= 0);
    }

    @Test
    void later() throws Exception {
        CompletableFuture<Long> load = gomd.later(Gomd::load);
        CompletableFuture<Integer> count = gomd.later(Gomd::nodes).thenApply(List::size);
        assertTrue(load.get() >= 0);
        assertEquals(1, count.get());
    }

    @Test
    void watches() {
        try (Watch<ClusterProcess> watch = gomd.watchPs(Selection.all().top(2), Duration.ofMillis(100))) {
            List<Round<ClusterProcess>> rounds = watch.stream().limit(3).toList();
            assertEquals(List.of(1L, 2L, 3L), rounds.stream().map(Round::number).toList());
            assertEquals(2, rounds.get(0).rows().size());
        }
        try (Watch<Map<String, Object>> watch = gomd.on("all").watch(Duration.ofMillis(100), "load")) {
            Round.Seen<Map<String, Object>> seen = watch.next(LONG).rows().get(0);
            assertEquals(1, seen.from());
            assertNotNull(seen.value().get("value"));
        }
        try (Watch<Event> watch = gomd.watchEvents()) {
            assertNull(watch.next(Duration.ofMillis(10)));
            assertFalse(watch.hasEnded());
        }
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    @Test
    void jobs() {
        try (RunningJob job = gomd.run("sh", "-c", "read line; echo \"got $line\"; echo oops >&2; exit 7")) {
            RunningJob.Printed printed = job.communicate("hello\n".getBytes(), LONG);
            assertEquals("got hello\n", text(printed.stdout()));
            assertEquals("oops\n", text(printed.stderr()));
            assertEquals(7, job.await(LONG));
        }
        byte[] bytes = new byte[5_000_000];
        new Random(1).nextBytes(bytes);
        try (RunningJob job = gomd.run("cat")) {
            assertArrayEquals(bytes, job.communicate(bytes, LONG).stdout());
        }
        try (RunningJob job = gomd.run(JobSpec.of("cat").directory("/").environment(Map.of("PATH", "/usr/bin:/bin")))) {
            job.write("one\n".getBytes());
            assertEquals("one\n", text(job.read(LONG).bytes()));
            job.signal(15, true);
            assertEquals(143, job.await(LONG));
            assertNull(job.read());
        }
        refused(GomdException.Kind.NOT_FOUND, 127, () -> gomd.run("/nothing/here"));
        try (RunningJob job = gomd.run("sleep", "60")) {
            refused(GomdException.Kind.TIMED_OUT, 0, () -> job.await(Duration.ofMillis(50)));
            job.kill();
            assertEquals(137, job.await(LONG));
        }
        long number;
        try (RunningJob job = gomd.run(JobSpec.of("sh", "-c", "echo kept; exit 4").detached())) {
            number = job.number();
        }
        try (RunningJob job = gomd.attach(number)) {
            assertEquals("kept\n", text(job.communicate(new byte[0], LONG).stdout()));
            assertEquals(4, job.status());
        }
    }
}
