package gomd;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** The caller's end of a job's three streams, as docs/wire.md has it. No I/O: frames in, events and bytes out. */
final class CallerEnd {
    static final int WINDOW = 1 << 20;
    private static final int PIECE = 65536;

    /** What a frame means. */
    sealed interface Event {}

    record Started(Long job, Long home, Long node, Long pid, boolean isDetached) implements Event {}

    record Attached(long lostOutput, long lostErrors, Long stop) implements Event {}

    record Data(int stream, byte[] bytes) implements Event {}

    record Taken(long position) implements Event {}

    record Exited(int status, String reason, int signal) implements Event {}

    /** One output as it is received. */
    private static final class Output {
        long received;
        long taken;
        long told;
        long windowStart;
    }

    private final int window;
    private final Output stdout = new Output();
    private final Output stderr = new Output();
    private byte[] kept = new byte[0];
    private int keptLength;
    private long base;
    private long sent;
    private long taken;
    private long asked;
    private boolean wantsStops;
    private boolean isAttached;
    private boolean inputEnded;
    private boolean endSent;
    private Exited exited;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    CallerEnd(int window, long serial) {
        this.window = window;
        this.asked = serial;
    }

    boolean isAttached() {
        return isAttached;
    }

    boolean inputHasEnded() {
        return inputEnded;
    }

    Exited exited() {
        return exited;
    }

    byte[] dataToSend() {
        byte[] found = out.toByteArray();
        out.reset();
        return found;
    }

    void connectionReplaced() {
        out.reset();
        isAttached = false;
    }

    void wantStops() {
        wantsStops = true;
    }

    void attach() {
        isAttached = false;
        asked++;
        Map<String, Object> wanted = new LinkedHashMap<>();
        wanted.put("stdout", stdout.received);
        wanted.put("stderr", stderr.received);
        wanted.put("n", asked);
        if (wantsStops) {
            wanted.put("stops", true);
        }
        out.writeBytes(Frames.json(Frames.ATTACH, wanted));
    }

    /** Returns how many bytes of input may be given to {@link #input} now. */
    int inputRoom() {
        if (!isAttached || inputEnded || exited != null) {
            return 0;
        }
        return (int) Math.max(0, window - (end() - taken));
    }

    private long end() {
        return base + keptLength;
    }

    void input(byte[] bytes, int from, int length) {
        if (keptLength + length > kept.length) {
            kept = Arrays.copyOf(kept, Math.max(kept.length * 2, keptLength + length));
        }
        System.arraycopy(bytes, from, kept, keptLength, length);
        keptLength += length;
        sendInput();
    }

    void endInput() {
        inputEnded = true;
        sendInput();
    }

    private void sendInput() {
        if (!isAttached) {
            return;
        }
        while (true) {
            int length = (int) Math.min(PIECE, Math.min(end() - sent, taken + window - sent));
            if (length <= 0) {
                break;
            }
            int at = (int) (sent - base);
            out.writeBytes(Frames.frame(Frames.STDIN, Arrays.copyOfRange(kept, at, at + length)));
            sent += length;
        }
        if (inputEnded && !endSent && sent == end()) {
            endSent = true;
            out.writeBytes(Frames.frame(Frames.STDIN_END, new byte[0]));
        }
    }

    private void forgetInputBefore(long position) {
        if (position <= base) {
            return;
        }
        int gone = (int) (position - base);
        System.arraycopy(kept, gone, kept, 0, keptLength - gone);
        keptLength -= gone;
        base = position;
    }

    private Output output(int stream) {
        return stream == Frames.STDOUT ? stdout : stderr;
    }

    /** Counts bytes of an output as passed on, and acknowledges them. */
    void passedOn(int stream, int size) {
        Output output = output(stream);
        output.taken = Math.min(output.taken + size, output.received);
        if (isAttached && exited == null && output.told != output.taken) {
            output.told = output.taken;
            output.windowStart = Math.max(output.windowStart, output.taken);
            out.writeBytes(Frames.acknowledgement(stream, output.taken));
        }
    }

    void signal(int number, boolean toGroup) {
        if (isAttached) {
            out.writeBytes(Frames.frame(Frames.SIGNAL, new byte[] {(byte) number, (byte) (toGroup ? 1 : 0)}));
        }
    }

    void setSize(int rows, int columns) {
        if (isAttached) {
            out.writeBytes(Frames.frame(Frames.WINSIZE, ByteBuffer.allocate(4).putShort((short) rows).putShort((short) columns).array()));
        }
    }

    void collected() {
        out.reset();
        out.writeBytes(Frames.frame(Frames.COLLECTED, new byte[0]));
    }

    /** Takes a frame and returns what it means, null for nothing. */
    Event receive(Frames.Frame frame) {
        switch (frame.kind()) {
            case Frames.STDOUT, Frames.STDERR -> {
                return data(frame.kind(), frame.payload());
            }
            case Frames.ACK -> {
                return acknowledged(frame.payload());
            }
            case Frames.RESUME -> {
                attach();
                return null;
            }
            case Frames.STARTED -> {
                Map<String, Object> told = frame.object();
                return new Started(Values.longOf(told, "job"), Values.longOf(told, "home"), Values.longOf(told, "node"),
                        Values.longOf(told, "pid"), Boolean.TRUE.equals(told.get("detached")));
            }
            case Frames.EXIT -> {
                return exit(frame.object());
            }
            case Frames.FAILED -> {
                Map<String, Object> told = frame.object();
                Long code = Values.longOf(told, "code");
                String text = Values.stringOf(told, "text");
                throw GomdException.refused(code == null || code < 0 || code > 599 ? 500 : code.intValue(),
                        text == null ? "the job could not be started" : text);
            }
            case Frames.ATTACHED -> {
                return attached(frame.object());
            }
            default -> throw GomdException.malformed("a frame of kind " + frame.kind() + " is not for a caller");
        }
    }

    private Event data(int stream, byte[] bytes) {
        if (!isAttached || exited != null) {
            return null;
        }
        Output output = output(stream);
        if (output.received + bytes.length - output.windowStart > window) {
            throw GomdException.malformed("more output than the window allows");
        }
        output.received += bytes.length;
        return new Data(stream, bytes);
    }

    private Event acknowledged(byte[] payload) {
        if (payload.length != 9) {
            throw GomdException.malformed("an acknowledgement that is none");
        }
        long position = ByteBuffer.wrap(payload, 1, 8).getLong();
        if (payload[0] != Frames.STDIN || !isAttached || position <= taken || position > sent) {
            return null;
        }
        taken = position;
        forgetInputBefore(position);
        sendInput();
        return new Taken(position);
    }

    private Event exit(Map<String, Object> told) {
        if (!isAttached && !Boolean.TRUE.equals(told.get("lost"))) {
            return null;
        }
        String reason = Values.stringOf(told, "reason");
        Long signal = Values.longOf(told, "signal");
        exited = new Exited((int) Values.number(told, "exit"), reason == null ? "" : reason, signal == null ? 0 : signal.intValue());
        return exited;
    }

    private Event attached(Map<String, Object> told) {
        Long number = Values.longOf(told, "n");
        if (number == null || number != asked) {
            return null;
        }
        isAttached = true;
        long lostOutput = resumed(stdout, Values.number(told, "stdout"));
        long lostErrors = resumed(stderr, Values.number(told, "stderr"));
        long received = Values.number(told, "stdin");
        if (received < 0) {
            throw GomdException.malformed("a position below zero");
        }
        Long passed = Values.longOf(told, "stdin_taken");
        if (received > end()) {
            base = received;
            keptLength = 0;
        }
        long from = Math.min(Math.max(received, base), end());
        forgetInputBefore(from);
        sent = from;
        taken = passed == null ? from : Math.min(Math.max(passed, 0), from);
        if (Boolean.TRUE.equals(told.get("stdin_ended"))) {
            inputEnded = endSent = true;
        } else {
            endSent = false;
            sendInput();
        }
        return new Attached(lostOutput, lostErrors, Values.longOf(told, "stopped"));
    }

    private static long resumed(Output output, long position) {
        if (position < 0) {
            throw GomdException.malformed("a position below zero");
        }
        long held = output.received - output.taken;
        long lost = Math.max(0, position - output.received);
        output.received = output.windowStart = position;
        output.taken = output.told = Math.max(0, position - held);
        return lost;
    }
}
