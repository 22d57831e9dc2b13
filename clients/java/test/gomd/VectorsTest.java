package gomd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The vectors of the line, of the streams and of the packets, which every library passes. */
@SuppressWarnings("unchecked")
class VectorsTest {
    private static final HexFormat HEX = HexFormat.of();

    static List<Map<String, Object>> vectors(String name) throws IOException {
        String data = System.getProperty("gomd.vectors", "../../tests/data");
        return (List<Map<String, Object>>) Json.parse(Files.readString(Path.of(data, name)));
    }

    /** Returns what a client makes of bytes that come in pieces of a size: replies as the vectors have them, and the rest. */
    private static Map<String, Object> replies(byte[] bytes, int size) {
        LineReader reader = new LineReader();
        List<Map<String, Object>> found = new ArrayList<>();
        byte[] frames = null;
        for (int at = 0; at < bytes.length; at += size) {
            byte[] piece = Arrays.copyOfRange(bytes, at, Math.min(at + size, bytes.length));
            reader.feed(piece, piece.length);
            if (!found.isEmpty() && found.get(found.size() - 1).get("code").equals(202L)) {
                continue;
            }
            for (LineReader.Part part = reader.next(); part != null; part = reader.next()) {
                Map<String, Object> last = found.isEmpty() ? null : found.get(found.size() - 1);
                switch (part.what()) {
                    case STATUS -> {
                        Map<String, Object> reply = new LinkedHashMap<>();
                        reply.put("code", (long) part.code());
                        reply.put("text", part.text());
                        reply.put("lines", new ArrayList<>());
                        reply.put("error", null);
                        found.add(reply);
                    }
                    case LINE -> ((List<Object>) last.get("lines")).add(part.text());
                    case FAILURE -> last.put("error", List.of((long) part.code(), part.text()));
                    default -> { }
                }
                if (part.code() == 202) {
                    break;
                }
            }
        }
        frames = reader.rest();
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("replies", found);
        all.put("frames", HEX.formatHex(frames));
        return all;
    }

    @Test
    void theLine() throws IOException {
        for (Map<String, Object> vector : vectors("line/replies.json")) {
            byte[] bytes = HEX.parseHex((String) vector.get("bytes"));
            for (int size : new int[] {1, 7, bytes.length}) {
                Map<String, Object> found = replies(bytes, size);
                assertEquals(vector.get("replies"), found.get("replies"), vector.get("name") + " in pieces of " + size);
                if (vector.containsKey("frames")) {
                    assertEquals(vector.get("frames"), found.get("frames"));
                }
            }
            if (vector.get("original") instanceof List<?> original) {
                List<Map<String, Object>> replies = (List<Map<String, Object>>) vector.get("replies");
                String line = (String) ((List<Object>) replies.get(0).get("lines")).get(0);
                assertEquals(original.get(0), HEX.formatHex(LineReader.original(line)));
            }
        }
    }

    /** Returns frames so that two are the same when their values are: JSON may be written in other ways. */
    private static List<Object> readable(byte[] bytes) {
        List<Object> found = new ArrayList<>();
        ByteBuffer in = ByteBuffer.wrap(bytes);
        while (in.hasRemaining()) {
            int kind = in.get();
            byte[] payload = new byte[in.getInt()];
            in.get(payload);
            boolean isJson = List.of(Frames.ATTACH, Frames.STARTED, Frames.ATTACHED, Frames.EXIT, Frames.FAILED).contains(kind);
            found.add(List.of(kind, isJson ? Json.parse(new String(payload)) : HEX.formatHex(payload)));
        }
        return found;
    }

    private static Object meaning(CallerEnd.Event event) {
        Map<String, Object> found = new LinkedHashMap<>();
        if (event == null) {
            return null;
        } else if (event instanceof CallerEnd.Started started) {
            found.put("started", started.job());
        } else if (event instanceof CallerEnd.Data data) {
            found.put("data", List.of(data.stream() == Frames.STDOUT ? "stdout" : "stderr", HEX.formatHex(data.bytes())));
        } else if (event instanceof CallerEnd.Taken taken) {
            found.put("input taken", taken.position());
        } else if (event instanceof CallerEnd.Exited exited) {
            found.put("exited", (long) exited.status());
            found.put("reason", exited.reason());
        } else if (event instanceof CallerEnd.Attached attached) {
            found.put("attached", Map.of("stdout", attached.lostOutput(), "stderr", attached.lostErrors()));
            if (attached.stop() != null) {
                found.put("stop", attached.stop());
            }
        }
        return found;
    }

    @Test
    void theStreamsOfAJob() throws IOException {
        int played = 0;
        for (Map<String, Object> vector : vectors("wire/streams.json")) {
            if (!vector.get("end").equals("caller")) {
                continue;
            }
            CallerEnd end = new CallerEnd(((Long) vector.get("window")).intValue(), 0);
            for (Map<String, Object> step : (List<Map<String, Object>>) vector.get("steps")) {
                Object with = step.get("with");
                String name = vector.get("name") + ", step " + played++ + ": " + step.get("do");
                switch ((String) step.get("do")) {
                    case "frame" -> {
                        byte[] bytes = HEX.parseHex((String) with);
                        Frames.Frame frame = new Frames.Frame(bytes[0], Arrays.copyOfRange(bytes, 5, bytes.length));
                        assertEquals(step.get("event"), meaning(end.receive(frame)), name);
                    }
                    case "attach" -> end.attach();
                    case "wants stops" -> end.wantStops();
                    case "connection replaced" -> end.connectionReplaced();
                    case "input" -> {
                        byte[] bytes = HEX.parseHex((String) with);
                        end.input(bytes, 0, bytes.length);
                    }
                    case "end input" -> end.endInput();
                    case "input room" -> assertEquals(((Long) with).intValue(), end.inputRoom(), name);
                    case "passed on" -> {
                        List<Object> what = (List<Object>) with;
                        end.passedOn(what.get(0).equals("stdout") ? Frames.STDOUT : Frames.STDERR, ((Long) what.get(1)).intValue());
                    }
                    case "collected" -> end.collected();
                    default -> throw new AssertionError(name + " is not known");
                }
                assertEquals(readable(HEX.parseHex((String) step.get("out"))), readable(end.dataToSend()), name);
            }
        }
        assertTrue(played > 50);
    }

    @Test
    void thePackets() throws IOException {
        for (Map<String, Object> vector : vectors("wire/packets.json")) {
            Sealed end = Sealed.of(HEX.parseHex((String) vector.get("secret")), HEX.parseHex((String) vector.get("salt")));
            byte[] body = HEX.parseHex((String) vector.get("body"));
            byte[] packet = HEX.parseHex((String) vector.get("packet"));
            String name = (String) vector.get("name");
            assertArrayEquals(body, end.opened(packet), name);
            assertArrayEquals(packet, end.seal(body, HEX.parseHex((String) vector.get("nonce"))), name);
            Map<String, Object> datagram = (Map<String, Object>) vector.get("datagram");
            Map<String, Object> message = (Map<String, Object>) datagram.get("message");
            if (message.get("kind").equals("Question")) {
                byte[] made = Sealed.question((Long) datagram.get("sender"), (Long) datagram.get("instance"), (Long) datagram.get("sent_at"),
                        (Long) datagram.get("sequence"), (Long) message.get("request_id"), (String) message.get("path"),
                        (Long) message.get("node"), (Long) message.get("target"), ((Long) message.get("room")).intValue());
                assertArrayEquals(body, made, name);
            }
        }
    }

    @Test
    void badPacketsAreNotOpened() throws IOException {
        byte[] secret = HEX.parseHex((String) vectors("wire/keys.json").get(0).get("secret"));
        Sealed end = Sealed.of(secret, new byte[8]);
        for (Map<String, Object> vector : vectors("wire/bad.json")) {
            byte[] body = end.opened(HEX.parseHex((String) vector.get("packet")));
            if (vector.get("error").equals("body")) {
                assertNotNull(body, (String) vector.get("name"));
            } else {
                assertNull(body, (String) vector.get("name"));
            }
        }
        for (int seed = 0; seed < 20_000; seed++) { // any bytes are values or none, without an error
            byte[] bytes = new byte[new Random(seed).nextInt(60)];
            new Random(seed).nextBytes(bytes);
            Sealed.values(bytes);
        }
    }

    @Test
    void json() {
        assertEquals(List.of(1L, -2.5, true, "a\u00e9\n"), Json.parse("[1, -2.5, true, \"a\\u00e9\\n\"]"));
        assertEquals(9007199254740993L, Json.parse("9007199254740993"));
        assertEquals(Long.MAX_VALUE, Json.parse("9223372036854775807"));
        assertEquals(new BigInteger("9223372036854775808"), Json.parse("9223372036854775808"));
        assertNull(Json.parse("null"));
        for (String wrong : List.of("", "{", "[1,]", "{\"a\":}", "01", "1.", "nul", "\"a", "\"\\x\"", "[1] 2", "{a:1}", "--1", "1e", "\t", "\"\n\"")) {
            assertEquals(GomdException.Kind.MALFORMED_REPLY, assertThrows(GomdException.class, () -> Json.parse(wrong), wrong).kind());
        }
        assertThrows(GomdException.class, () -> Json.parse("[".repeat(100_000)));
        assertEquals("{\"a\": [1, null, \"\\u00e9\\\"\"]}", Json.text(Map.of("a", Arrays.asList(1, null, "\u00e9\""))));
        for (int seed = 0; seed < 20_000; seed++) {
            Random random = new Random(seed);
            StringBuilder text = new StringBuilder();
            for (int at = random.nextInt(20); at > 0; at--) {
                text.append("{}[]\",:0123-.eEtrufalsn\\ ".charAt(random.nextInt(25)));
            }
            try {
                Json.parse(text.toString());
            } catch (GomdException expected) {
                assertEquals(GomdException.Kind.MALFORMED_REPLY, expected.kind());
            }
        }
    }

    @Test
    void unknownNamesArePassedOverAndWrongTypesAreNot() {
        assertEquals(7L, Job.of(Json.object("{\"job\": 7, \"new_name\": {\"a\": 1}}")).job());
        assertNull(Job.of(Json.object("{\"job\": null}")).job());
        assertThrows(GomdException.class, () -> Job.of(Json.object("{\"job\": \"x\"}")));
        assertThrows(GomdException.class, () -> Job.of(Json.object("{\"job\": 1.5}")));
    }

    @Test
    void wordsAreQuotedAsAShellReadsThem() {
        assertEquals("ps --match 'a b'\"'\"'c'\r\n".replace("'a b'\"'\"'c'", "'a b'\"'\"'c'"),
                new String(LineReader.request("ps", List.of("--match", "a b'c"), "")));
        assertEquals("@beta load\r\n", new String(LineReader.request("load", List.of(), "beta")));
        assertThrows(GomdException.class, () -> LineReader.request("get", List.of("/a\nquit"), ""));
    }
}
