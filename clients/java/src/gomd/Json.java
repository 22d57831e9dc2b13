package gomd;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Strict JSON (RFC 8259), at most 32 levels deep. Whole numbers are Long, or BigInteger beyond 64 bits, others Double.
 */
final class Json {
    private static final int MAX_DEPTH = 32;
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        Json json = new Json(text);
        json.space();
        Object value = json.value(0);
        json.space();
        if (json.at != text.length()) {
            throw json.wrong();
        }
        return value;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(String text) {
        if (parse(text) instanceof Map<?, ?> found) {
            return (Map<String, Object>) found;
        }
        throw GomdException.malformed("JSON that is no object");
    }

    private GomdException wrong() {
        return GomdException.malformed("an answer that is no JSON, at character " + at);
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private char next() {
        if (at >= text.length()) {
            throw wrong();
        }
        return text.charAt(at++);
    }

    private boolean taken(char wanted) {
        space();
        if (at < text.length() && text.charAt(at) == wanted) {
            at++;
            return true;
        }
        return false;
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw wrong();
        }
        at += word.length();
        return value;
    }

    private Object value(int depth) {
        if (depth > MAX_DEPTH || at >= text.length()) {
            throw wrong();
        }
        char first = text.charAt(at);
        return switch (first) {
            case '{' -> members(depth);
            case '[' -> items(depth);
            case '"' -> string();
            case 't' -> word("true", Boolean.TRUE);
            case 'f' -> word("false", Boolean.FALSE);
            case 'n' -> word("null", null);
            default -> number();
        };
    }

    private Map<String, Object> members(int depth) {
        at++;
        Map<String, Object> found = new LinkedHashMap<>();
        if (taken('}')) {
            return found;
        }
        do {
            space();
            if (at >= text.length() || text.charAt(at) != '"') {
                throw wrong();
            }
            String name = string();
            if (!taken(':')) {
                throw wrong();
            }
            space();
            found.put(name, value(depth + 1));
        } while (taken(','));
        if (!taken('}')) {
            throw wrong();
        }
        return found;
    }

    private List<Object> items(int depth) {
        at++;
        List<Object> found = new ArrayList<>();
        if (taken(']')) {
            return found;
        }
        do {
            space();
            found.add(value(depth + 1));
        } while (taken(','));
        if (!taken(']')) {
            throw wrong();
        }
        return found;
    }

    private String string() {
        at++;
        int end = at;
        while (end < text.length() && text.charAt(end) != '"' && text.charAt(end) != '\\' && text.charAt(end) >= ' ') {
            end++;
        }
        if (end < text.length() && text.charAt(end) == '"') { // most have no escapes
            String plain = text.substring(at, end);
            at = end + 1;
            return plain;
        }
        StringBuilder found = new StringBuilder();
        for (char each = next(); each != '"'; each = next()) {
            if (each < ' ') {
                throw wrong();
            }
            found.append(each == '\\' ? escaped() : each);
        }
        return found.toString();
    }

    private char escaped() {
        char each = next();
        return switch (each) {
            case '"', '\\', '/' -> each;
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> unicode();
            default -> throw wrong();
        };
    }

    private char unicode() {
        int value = 0;
        for (int i = 0; i < 4; i++) {
            int digit = Character.digit(next(), 16);
            if (digit < 0) {
                throw wrong();
            }
            value = value * 16 + digit;
        }
        return (char) value;
    }

    private void digits() {
        int start = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
        if (at == start) {
            throw wrong();
        }
    }

    private Object number() {
        int start = at;
        if (text.charAt(at) == '-') {
            at++;
        }
        int first = at;
        digits();
        if (text.charAt(first) == '0' && at > first + 1) {
            throw wrong();
        }
        boolean isWhole = true;
        if (at < text.length() && text.charAt(at) == '.') {
            isWhole = false;
            at++;
            digits();
        }
        if (at < text.length() && (text.charAt(at) == 'e' || text.charAt(at) == 'E')) {
            isWhole = false;
            at++;
            if (at < text.length() && (text.charAt(at) == '+' || text.charAt(at) == '-')) {
                at++;
            }
            digits();
        }
        String number = text.substring(start, at);
        if (!isWhole) {
            return Double.valueOf(number);
        }
        if (number.length() < 19) {
            return Long.valueOf(number);
        }
        if (number.length() > 400) {
            throw wrong();
        }
        BigInteger large = new BigInteger(number);
        return large.bitLength() < 64 ? (Object) large.longValue() : large;
    }

    /** Returns a value as JSON in ASCII: maps, lists, strings, numbers, booleans and null. */
    static String text(Object value) {
        StringBuilder out = new StringBuilder();
        write(out, value);
        return out.toString();
    }

    private static void write(StringBuilder out, Object value) {
        if (value instanceof Map<?, ?> map) {
            out.append('{');
            String separator = "";
            for (Map.Entry<?, ?> each : map.entrySet()) {
                out.append(separator);
                quote(out, each.getKey().toString());
                out.append(": ");
                write(out, each.getValue());
                separator = ", ";
            }
            out.append('}');
        } else if (value instanceof List<?> list) {
            out.append('[');
            String separator = "";
            for (Object each : list) {
                out.append(separator);
                write(out, each);
                separator = ", ";
            }
            out.append(']');
        } else if (value instanceof String string) {
            quote(out, string);
        } else {
            out.append(value);
        }
    }

    private static void quote(StringBuilder out, String string) {
        out.append('"');
        for (int i = 0; i < string.length(); i++) {
            char each = string.charAt(i);
            if (each == '"' || each == '\\') {
                out.append('\\').append(each);
            } else if (each < ' ' || each > '~') {
                out.append(String.format("\\u%04x", (int) each));
            } else {
                out.append(each);
            }
        }
        out.append('"');
    }
}
