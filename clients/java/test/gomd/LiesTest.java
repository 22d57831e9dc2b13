package gomd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Daemons that lie: each lie is an error with a sentence, in time, and no answer is taken for that of another question. */
@Timeout(60)
class LiesTest {
    private static final String GREETING = "220 gomd 0.1.0 node 1 alpha\r\n";
    private int number;

    @TempDir
    Path directory;

    /** Serves one answer after the other to all connections; behind the last one it is silent. */
    private String liar(byte[]... answers) throws IOException {
        Path path = directory.resolve("s" + number++);
        ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listener.bind(UnixDomainSocketAddress.of(path));
        Thread thread = new Thread(() -> {
            while (true) {
                try {
                    SocketChannel caller = listener.accept();
                    new Thread(() -> serve(caller, answers)).start();
                } catch (IOException error) {
                    return;
                }
            }
        });
        thread.setDaemon(true);
        thread.start();
        return "unix:" + path;
    }

    private static void serve(SocketChannel caller, byte[][] answers) {
        try (caller) {
            for (byte[] answer : answers) {
                caller.write(ByteBuffer.wrap(answer));
                if (caller.read(ByteBuffer.allocate(65536)) < 0) {
                    return;
                }
            }
            Thread.sleep(3000);
        } catch (IOException | InterruptedException gone) {
            return;
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static Gomd connected(String endpoint) {
        return Gomd.connect(endpoint, Duration.ofMillis(600), "");
    }

    private void isKind(GomdException.Kind kind, String answer) throws IOException {
        try (Gomd gomd = connected(liar(bytes(GREETING), bytes("200 json\r\n"), bytes(answer)))) {
            assertEquals(kind, assertThrows(GomdException.class, gomd::ps, answer).kind(), answer);
            if (kind == GomdException.Kind.MALFORMED_REPLY || kind == GomdException.Kind.TIMED_OUT) {
                assertEquals(GomdException.Kind.CONNECTION_LOST, assertThrows(GomdException.class, gomd::load).kind(), answer);
            }
        }
    }

    @Test
    void aboutRows() throws IOException {
        isKind(GomdException.Kind.MALFORMED_REPLY, "hello\r\n");
        isKind(GomdException.Kind.TIMED_OUT, "201 1 rows\r\n{\"pid\": 1");
        isKind(GomdException.Kind.MALFORMED_REPLY, "201 1 rows\r\n{]\r\n.\r\n");
        isKind(GomdException.Kind.MALFORMED_REPLY, "2000 4\r\n");
        isKind(GomdException.Kind.MALFORMED_REPLY, "200 \0\r\n");
        isKind(GomdException.Kind.MALFORMED_REPLY, "200 \u00ff\r\n");
        isKind(GomdException.Kind.NODE_TIMED_OUT, "201 1 rows\r\n{}\r\n! 504 no answer in time\r\n.\r\n");
        isKind(GomdException.Kind.MALFORMED_REPLY, "777 what is this\r\n");
        isKind(GomdException.Kind.TIMED_OUT, "");
        isKind(GomdException.Kind.NOT_FOUND, "404 no such thing\r\n");
        isKind(GomdException.Kind.MALFORMED_REPLY, "100 wait\r\n");
        for (int code : List.of(202, 220, 221, 299)) {
            isKind(GomdException.Kind.MALFORMED_REPLY, code + " what\r\n200 4\r\n");
        }
    }

    @Test
    void inTheGreeting() throws IOException {
        for (String greeting : List.of("SSH-2.0-x\r\n", "200 fine\r\n", "HTTP/1.1 200 OK\r\n", "220 smtp.example.org ESMTP\r\n")) {
            String endpoint = liar(bytes(greeting));
            assertEquals(GomdException.Kind.MALFORMED_REPLY, assertThrows(GomdException.class, () -> connected(endpoint)).kind());
        }
        String silent = liar(bytes(""));
        assertEquals(GomdException.Kind.TIMED_OUT, assertThrows(GomdException.class, () -> connected(silent)).kind());
        String full = liar(bytes("429 too many\r\n"));
        assertEquals(GomdException.Kind.BUSY, assertThrows(GomdException.class, () -> connected(full)).kind());
        assertEquals(GomdException.Kind.CONNECTION_LOST, assertThrows(GomdException.class, () -> connected("unix:/nothing/here")).kind());
        assertEquals(GomdException.Kind.MALFORMED_REQUEST, assertThrows(GomdException.class, () -> connected("http://x")).kind());
    }

    @Test
    void withoutEnd() throws IOException {
        Path path = directory.resolve("flood");
        try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            listener.bind(UnixDomainSocketAddress.of(path));
            Thread thread = new Thread(() -> {
                try (SocketChannel caller = listener.accept()) {
                    caller.write(ByteBuffer.wrap(bytes(GREETING)));
                    for (String answer : List.of("200 json\r\n", "201 rows\r\n")) {
                        caller.read(ByteBuffer.allocate(65536));
                        caller.write(ByteBuffer.wrap(bytes(answer)));
                    }
                    while (true) {
                        caller.write(ByteBuffer.wrap(bytes("{\"pid\": 1}\r\n".repeat(500))));
                    }
                } catch (IOException gone) {
                    return;
                }
            });
            thread.setDaemon(true);
            thread.start();
            try (Gomd gomd = connected("unix:" + path)) {
                assertEquals(GomdException.Kind.TIMED_OUT, assertThrows(GomdException.class, gomd::ps).kind());
            }
        }
    }

    private void job(GomdException.Kind kind, byte[] lie) throws IOException {
        String endpoint = liar(bytes(GREETING), bytes("200 json\r\n"), bytes("202 go on\r\n"), lie);
        // The first connection of the client is another one than that of the job: both hear the same.
        try (Gomd gomd = connected(endpoint)) {
            assertEquals(kind, assertThrows(GomdException.class, () -> gomd.run("true")).kind());
        }
    }

    @Test
    void aboutAJob() throws IOException {
        byte[] started = Frames.json(Frames.STARTED, java.util.Map.of("job", 7, "home", 1, "node", 1, "pid", 42));
        job(GomdException.Kind.MALFORMED_REPLY, bytes("\u0014\u00ff\u00ff\u00ff\u00ff"));
        job(GomdException.Kind.MALFORMED_REPLY, bytes("\u0063\0\0\0\0"));
        job(GomdException.Kind.MALFORMED_REPLY, bytes("200 fine\r\n"));
        job(GomdException.Kind.MALFORMED_REPLY, Frames.frame(Frames.STARTED, bytes("[1]")));
        job(GomdException.Kind.MALFORMED_REPLY, Frames.frame(Frames.STARTED, bytes("{\"job\": \"x\"}")));
        job(GomdException.Kind.TIMED_OUT, java.util.Arrays.copyOf(started, 9));
        job(GomdException.Kind.TIMED_OUT, new byte[0]);
        job(GomdException.Kind.NOT_FOUND, Frames.json(Frames.FAILED, java.util.Map.of("code", 404, "text", "no")));
    }

    @Test
    void aboutRounds() throws IOException {
        for (String row : List.of("{}", "[]", "{\"round\": 1, \"rows\": 99999999999}", "{\"round\": \"x\", \"rows\": 1}")) {
            String endpoint = liar(bytes(GREETING), bytes("200 json\r\n"), bytes("201 watching\r\n" + row + "\r\n"));
            try (Gomd gomd = connected(endpoint); Watch<Node> watch = gomd.watchNodes(Duration.ofSeconds(1))) {
                assertEquals(GomdException.Kind.MALFORMED_REPLY, assertThrows(GomdException.class, watch::next, row).kind());
            }
        }
    }

    @Test
    void aboutOneValue() throws IOException {
        try (Gomd gomd = connected(liar(bytes(GREETING), bytes("200 json\r\n"), bytes("200 null\r\n"), bytes("200 null\r\n")))) {
            assertEquals(GomdException.Kind.MALFORMED_REPLY, assertThrows(GomdException.class, () -> gomd.where(1)).kind());
            assertEquals(GomdException.Kind.MALFORMED_REPLY, assertThrows(GomdException.class, () -> gomd.getCurNode(1, 1)).kind());
        }
        try (Gomd gomd = connected(liar(bytes(GREETING), bytes("200 json\r\n"), bytes("201 no rows\r\n.\r\n")))) {
            assertEquals(GomdException.Kind.MALFORMED_REPLY, assertThrows(GomdException.class, gomd::node).kind());
        }
    }

    /** A reason is one line that no terminal obeys. */
    @Test
    void aReasonWithControlCharacters() throws IOException {
        byte[] failed = Frames.json(Frames.FAILED, java.util.Map.of("code", 404, "text", "no\n\u001b[31m\u009b2J"));
        try (Gomd gomd = connected(liar(bytes(GREETING), bytes("200 json\r\n"), bytes("202 go on\r\n"), failed))) {
            assertEquals("no??[31m?2J", assertThrows(GomdException.class, () -> gomd.run("true")).getMessage());
        }
    }

    /** What is asked for later does not wait for what was asked before, and closing ends both. */
    @Test
    void closedWhileAnotherThreadWaits() throws Exception {
        Gomd gomd = Gomd.connect(liar(bytes(GREETING), bytes("200 json\r\n"), bytes("")), Duration.ofSeconds(30), "");
        long begin = System.nanoTime();
        var first = gomd.later(Gomd::load);
        Thread.sleep(300); // it waits for its answer by now
        var second = gomd.later(Gomd::load);
        gomd.close();
        for (var each : List.of(first, second, gomd.later(Gomd::load))) {
            var error = assertThrows(java.util.concurrent.ExecutionException.class, each::get).getCause();
            assertEquals(GomdException.Kind.CONNECTION_LOST, ((GomdException) error).kind());
        }
        assertEquals(true, System.nanoTime() - begin < 10_000_000_000L);
    }

    /** A stream that is closed by another thread has ended. */
    @Test
    void aWatchThatAnotherThreadCloses() throws Exception {
        String endpoint = liar(bytes(GREETING), bytes("200 json\r\n"), bytes("201 watching\r\n"));
        try (Gomd gomd = Gomd.connect(endpoint, Duration.ofSeconds(30), ""); Watch<Node> watch = gomd.watchNodes(Duration.ofSeconds(1))) {
            var rounds = watch.stream();
            var count = java.util.concurrent.CompletableFuture.supplyAsync(rounds::count);
            Thread.sleep(300);
            rounds.close();
            assertEquals(0, count.get(10, java.util.concurrent.TimeUnit.SECONDS));
        }
    }

    /** A timeout that is longer than can be counted never ends; it is no error of arithmetic. */
    @Test
    void timeoutsWithoutEnd() throws IOException {
        for (Duration timeout : List.of(Duration.ofSeconds(Long.MAX_VALUE), java.time.temporal.ChronoUnit.FOREVER.getDuration(), Duration.ofDays(200_000))) {
            String endpoint = liar(bytes(GREETING), bytes("200 json\r\n"), bytes("200 4\r\n"));
            try (Gomd gomd = Gomd.connect(endpoint, timeout, "")) {
                assertEquals(4, gomd.load());
            }
            String watched = liar(bytes(GREETING), bytes("200 json\r\n"), bytes("201 watching\r\n{\"round\": 1, \"rows\": 0}\r\n"));
            try (Gomd gomd = connected(watched); Watch<Node> watch = gomd.watchNodes(Duration.ofSeconds(1))) {
                assertEquals(1, watch.next(timeout).number());
            }
        }
    }
}
