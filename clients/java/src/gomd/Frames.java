package gomd;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The frames of a job's streams: one byte kind, four bytes length, payload. No I/O. */
final class Frames {
    static final int SPEC = 1;
    static final int ATTACH = 2;
    static final int STDIN = 3;
    static final int STDIN_END = 4;
    static final int SIGNAL = 5;
    static final int WINSIZE = 6;
    static final int COLLECTED = 8;
    static final int ACK = 9;
    static final int STARTED = 16;
    static final int ATTACHED = 17;
    static final int STDOUT = 18;
    static final int STDERR = 19;
    static final int EXIT = 20;
    static final int FAILED = 21;
    static final int RESUME = 22;
    static final int MAX_PAYLOAD = 1 << 20;
    static final int MAX_SPEC = 16 << 20;
    private static final Set<Integer> FROM_JOB = Set.of(ACK, STARTED, ATTACHED, STDOUT, STDERR, EXIT, FAILED, RESUME);

    record Frame(int kind, byte[] payload) {
        Map<String, Object> object() {
            return Json.object(new String(payload, StandardCharsets.UTF_8));
        }
    }

    private byte[] rest = new byte[0];

    static byte[] frame(int kind, byte[] payload) {
        return ByteBuffer.allocate(5 + payload.length).put((byte) kind).putInt(payload.length).put(payload).array();
    }

    static byte[] json(int kind, Object value) {
        return frame(kind, Json.text(value).getBytes(StandardCharsets.US_ASCII));
    }

    static byte[] acknowledgement(int stream, long position) {
        return frame(ACK, ByteBuffer.allocate(9).put((byte) stream).putLong(position).array());
    }

    boolean isInside() {
        return rest.length > 0;
    }

    /** Takes bytes, and returns the frames that are complete with them. */
    List<Frame> feed(byte[] more) {
        byte[] bytes = more;
        if (rest.length > 0) {
            bytes = Arrays.copyOf(rest, rest.length + more.length);
            System.arraycopy(more, 0, bytes, rest.length, more.length);
        }
        List<Frame> found = new ArrayList<>();
        int at = 0;
        while (bytes.length - at >= 5) {
            int kind = bytes[at] & 255;
            int length = ByteBuffer.wrap(bytes, at + 1, 4).getInt();
            if (!FROM_JOB.contains(kind) || length < 0 || length > MAX_PAYLOAD) {
                throw GomdException.malformed("no frame: kind " + kind + ", " + Integer.toUnsignedString(length) + " bytes");
            }
            if (bytes.length - at < 5 + length) {
                break;
            }
            found.add(new Frame(kind, Arrays.copyOfRange(bytes, at + 5, at + 5 + length)));
            at += 5 + length;
        }
        rest = Arrays.copyOfRange(bytes, at, bytes.length);
        return found;
    }
}
