package gomd;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads the values of a row; each is null where the row has none, and an error where it has something else. */
final class Values {
    private Values() {}

    private static GomdException wrong(String name) {
        return GomdException.malformed("a row whose " + name + " is of another type than it should be");
    }

    static Object any(Map<String, Object> row, String name) {
        return row.get(name);
    }

    static Long longOf(Map<String, Object> row, String name) {
        Object value = row.get(name);
        if (value == null || value instanceof Long) {
            return (Long) value;
        }
        throw wrong(name);
    }

    static Double doubleOf(Map<String, Object> row, String name) {
        Object value = row.get(name);
        if (value == null) {
            return null;
        }
        if (value instanceof Number number) {
            return number.doubleValue();
        }
        throw wrong(name);
    }

    static String stringOf(Map<String, Object> row, String name) {
        Object value = row.get(name);
        if (value == null || value instanceof String) {
            return (String) value;
        }
        throw wrong(name);
    }

    static Boolean booleanOf(Map<String, Object> row, String name) {
        Object value = row.get(name);
        if (value == null || value instanceof Boolean) {
            return (Boolean) value;
        }
        throw wrong(name);
    }

    static List<Long> listLong(Map<String, Object> row, String name) {
        Object value = row.get(name);
        if (value == null) {
            return null;
        }
        if (!(value instanceof List<?> list)) {
            throw wrong(name);
        }
        List<Long> found = new ArrayList<>();
        for (Object each : list) {
            if (!(each instanceof Long number)) {
                throw wrong(name);
            }
            found.add(number);
        }
        return List.copyOf(found);
    }

    static List<String> listString(Map<String, Object> row, String name) {
        Object value = row.get(name);
        if (value == null) {
            return null;
        }
        if (!(value instanceof List<?> list)) {
            throw wrong(name);
        }
        List<String> found = new ArrayList<>();
        for (Object each : list) {
            if (!(each instanceof String text)) {
                throw wrong(name);
            }
            found.add(text);
        }
        return List.copyOf(found);
    }

    static Map<String, String> labels(Map<String, Object> row, String name) {
        Object value = row.get(name);
        if (value == null) {
            return null;
        }
        if (!(value instanceof Map<?, ?> map)) {
            throw wrong(name);
        }
        Map<String, String> found = new LinkedHashMap<>();
        map.forEach((key, each) -> found.put(key.toString(), String.valueOf(each)));
        return found;
    }

    /** Throws what a row says that is none: why a block or a watch could not go on, {@code {"code": CODE, "error": TEXT}}. */
    static void throwIfFailure(Map<String, Object> row) {
        if (row.size() == 2 && row.get("error") instanceof String text && row.get("code") instanceof Long code
                && code >= 400 && code < 600) {
            throw GomdException.refused(code.intValue(), text);
        }
    }

    /** Returns a whole number that must be there. */
    static long number(Map<String, Object> row, String name) {
        Long value = longOf(row, name);
        if (value == null) {
            throw GomdException.malformed("a frame without its number " + name);
        }
        return value;
    }
}
