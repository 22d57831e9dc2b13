// Made by contrib/java_records.py from docs/schema; do not edit.
package gomd;

import java.util.List;
import java.util.Map;

/**
 * A verb, and how it is used.
 *
 * @param verb as in docs/schema
 * @param usage as in docs/schema
 * @param role as in docs/schema
 * @param summary as in docs/schema
 * @param fields as in docs/schema
 */
public record VerbHelp(
        String verb,
        String usage,
        String role,
        String summary,
        List<String> fields) {
    static VerbHelp of(Map<String, Object> row) {
        return new VerbHelp(
                Values.stringOf(row, "verb"),
                Values.stringOf(row, "usage"),
                Values.stringOf(row, "role"),
                Values.stringOf(row, "summary"),
                Values.listString(row, "fields"));
    }
}
