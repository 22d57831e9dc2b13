package gomd;

/** What can go wrong when a program asks gomd; the message is one sentence. */
public final class GomdException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** What kind of error it is. */
    public enum Kind {
        /** The request is not understood (400, 413), or was wrong before it was sent. */
        MALFORMED_REQUEST,
        /** A token is needed first, or the role or user may not do that (401, 403). */
        NOT_ALLOWED,
        /** There is no such node, process, path, job or command (404, 127). */
        NOT_FOUND,
        /** Understood, and not possible there (405, 126). */
        NOT_POSSIBLE,
        /** It conflicts with the present state (409). */
        CONFLICT,
        /** Too many connections, watches, requests or jobs (429). */
        BUSY,
        /** The daemon refused for another reason. */
        REFUSED,
        /** The node failed (500). */
        INTERNAL,
        /** That node cannot be reached (502). */
        NODE_UNREACHABLE,
        /** That node did not answer the daemon in time (504). */
        NODE_TIMED_OUT,
        /** There is no daemon, or it has closed the connection. */
        CONNECTION_LOST,
        /** The daemon did not answer in time; the connection is closed. */
        TIMED_OUT,
        /** What listens there does not speak gomd's language; the connection is closed. */
        MALFORMED_REPLY,
        /** The endpoint was found by default, and any program may listen there: nothing was sent. */
        UNPROVEN
    }

    private final Kind kind;
    private final int code;

    GomdException(Kind kind, int code, String text) {
        super(text);
        this.kind = kind;
        this.code = code;
    }

    GomdException(Kind kind, String text) {
        this(kind, 0, text);
    }

    /** Returns what kind of error it is. */
    public Kind kind() {
        return kind;
    }

    /** Returns the code of the telnet line when the daemon has refused, otherwise 0. */
    public int code() {
        return code;
    }

    static GomdException refused(int code, String text) {
        Kind kind = switch (code) {
            case 400, 413 -> Kind.MALFORMED_REQUEST;
            case 401, 403 -> Kind.NOT_ALLOWED;
            case 404, 127 -> Kind.NOT_FOUND;
            case 405, 126 -> Kind.NOT_POSSIBLE;
            case 409 -> Kind.CONFLICT;
            case 429 -> Kind.BUSY;
            case 502 -> Kind.NODE_UNREACHABLE;
            case 504 -> Kind.NODE_TIMED_OUT;
            default -> code >= 500 ? Kind.INTERNAL : Kind.REFUSED;
        };
        String shown = text.replaceAll("\\p{Cc}", "?"); // what a terminal would obey
        return new GomdException(kind, code, shown.isEmpty() ? "refused with code " + code : shown);
    }

    static GomdException malformed(String text) {
        return new GomdException(Kind.MALFORMED_REPLY, text);
    }

    static GomdException wrong(String text) {
        return new GomdException(Kind.MALFORMED_REQUEST, 400, text);
    }

    static GomdException lost(String text) {
        return new GomdException(Kind.CONNECTION_LOST, text);
    }

    static GomdException late(String text) {
        return new GomdException(Kind.TIMED_OUT, text);
    }
}
