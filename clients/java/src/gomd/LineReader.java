package gomd;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** Bytes as replies of the telnet line, and requests as bytes. No I/O. */
final class LineReader {
    /** Bytes that one line may have; a longer one is no line of gomd's. */
    static final int MAX_LINE = 16 << 20;
    private static final int MAX_REQUEST = 65536;

    /** What a reply consists of: STATUS and FAILURE have a code and a text, LINE a text. */
    enum What { STATUS, LINE, END, FAILURE }

    record Part(What what, int code, String text) {}

    private byte[] bytes = new byte[8192];
    private int start;
    private int end;
    private int searched;
    private boolean isInBlock;
    private Part failure;

    static byte[] request(String verb, List<String> words, String node) {
        StringBuilder line = new StringBuilder();
        if (!node.isEmpty()) {
            line.append(quoted("@" + node)).append(' ');
        }
        line.append(quoted(verb));
        for (String word : words) {
            line.append(' ').append(quoted(word));
        }
        byte[] found = line.append("\r\n").toString().getBytes(StandardCharsets.UTF_8);
        if (found.length > MAX_REQUEST) {
            throw GomdException.wrong("the request is longer than a line may be");
        }
        return found;
    }

    private static String quoted(String word) {
        if (word == null || word.chars().anyMatch(each -> each < ' ' || each == 127)) {
            throw GomdException.wrong("a word of a request is text without control characters");
        }
        return word.matches("[A-Za-z0-9_@%+=:,./\\[\\]&!-]+") ? word : "'" + word.replace("'", "'\"'\"'") + "'";
    }

    void feed(byte[] more, int length) {
        if (end + length > bytes.length) {
            int kept = end - start;
            byte[] room = kept + length > bytes.length ? new byte[Math.max(bytes.length * 2, kept + length)] : bytes;
            System.arraycopy(bytes, start, room, 0, kept);
            bytes = room;
            searched -= start;
            start = 0;
            end = kept;
        }
        System.arraycopy(more, 0, bytes, end, length);
        end += length;
    }

    /** Returns the next part of a reply, null when it has not come whole. What is behind a 202 is left: {@link #rest}. */
    Part next() {
        String line = line();
        if (line == null) {
            return null;
        }
        if (!isInBlock) {
            if (!line.matches("(?s)[2-5][0-9][0-9]( .*)?")) {
                throw wrong("no status line");
            }
            int code = Integer.parseInt(line.substring(0, 3));
            isInBlock = code == 201;
            return new Part(What.STATUS, code, line.length() > 4 ? line.substring(4) : "");
        }
        if (failure != null) {
            if (!line.equals(".")) {
                throw wrong("something behind the failure of a block");
            }
            Part found = failure;
            failure = null;
            isInBlock = false;
            return found;
        }
        if (line.equals(".")) {
            isInBlock = false;
            return new Part(What.END, 0, "");
        }
        if (line.matches("(?s)! [45][0-9][0-9] .*")) {
            failure = new Part(What.FAILURE, Integer.parseInt(line.substring(2, 5)), line.substring(6));
            return next();
        }
        return new Part(What.LINE, 0, line.startsWith(".") ? line.substring(1) : line);
    }

    /** Returns whether all bytes have been looked at. */
    boolean isEmpty() {
        return start == end;
    }

    /** Returns the bytes that have not been looked at, and forgets them. */
    byte[] rest() {
        byte[] found = Arrays.copyOfRange(bytes, start, end);
        start = end = searched = 0;
        return found;
    }

    private String line() {
        for (int at = searched; at < end; at++) {
            if (bytes[at] == '\n') {
                int last = at > start && bytes[at - 1] == '\r' ? at - 1 : at;
                String found = decoded(start, last);
                start = searched = at + 1;
                return found;
            }
        }
        searched = end;
        if (end - start > MAX_LINE) {
            throw wrong("a line that does not end");
        }
        return null;
    }

    private String decoded(int from, int to) {
        for (int at = from; at < to; at++) {
            if (bytes[at] >= 0 && bytes[at] < ' ' && bytes[at] != '\t' || bytes[at] == 127) {
                throw wrong("a control character");
            }
        }
        try {
            return StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(bytes, from, to - from)).toString();
        } catch (CharacterCodingException error) {
            throw wrong("a line that is no text");
        }
    }

    /** Returns the bytes that a text with {@code \xNN} stands for. */
    static byte[] original(String text) {
        byte[] from = text.getBytes(StandardCharsets.UTF_8);
        ByteBuffer to = ByteBuffer.allocate(from.length);
        for (int at = 0; at < from.length; at++) {
            if (from[at] == '\\' && at + 3 < from.length && from[at + 1] == 'x'
                    && Character.digit(from[at + 2], 16) >= 0 && Character.digit(from[at + 3], 16) >= 0) {
                to.put((byte) (Character.digit(from[at + 2], 16) * 16 + Character.digit(from[at + 3], 16)));
                at += 3;
            } else {
                to.put(from[at]);
            }
        }
        return Arrays.copyOf(to.array(), to.position());
    }

    private static GomdException wrong(String what) {
        return GomdException.malformed("this is not gomd's line: " + what);
    }
}
