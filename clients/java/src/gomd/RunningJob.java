package gomd;

import java.io.ByteArrayOutputStream;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.function.BooleanSupplier;

/**
 * A command that runs on the cluster, with its streams here. They survive a daemon that is restarted, and a job that moves.
 *
 * <p>At most 1 MiB of each output waits here; a job that writes more waits for its reader, as for that of a pipe. When it is
 * closed, the job gets SIGHUP, and SIGKILL five seconds later, unless it is a detached one. One thread at a time uses it. Each
 * method throws {@link GomdException}; one of kind TIMED_OUT for a timeout that was given leaves the job as it is.
 */
public final class RunningJob implements AutoCloseable {
    /** Which output a piece is of. */
    public enum Output { STDOUT, STDERR }

    /**
     * A piece of output.
     *
     * @param output which of the two
     * @param bytes at least one byte
     */
    public record Chunk(Output output, byte[] bytes) {}

    /** A connection that was answered with 202, and what came behind that already. */
    record Streams(Wire wire, byte[] early) {}

    /** Opens the next connection to a job. */
    interface Reopen {
        Streams open(long job, Duration timeout);
    }

    private static final long INTERVAL_MS = 100;
    private final CallerEnd end = new CallerEnd(CallerEnd.WINDOW, new SecureRandom().nextLong() & ((1L << 48) - 1));
    private final Deque<CallerEnd.Data> chunks = new ArrayDeque<>();
    private final Reopen reopen;
    private final Duration timeout;
    private final Duration reconnect;
    private Frames frames = new Frames();
    private volatile Wire wire;
    private CallerEnd.Started facts;
    private CallerEnd.Exited exited;
    private byte[] input = new byte[0];
    private int inputAt;
    private boolean inputEnded;
    private byte[] outgoing = new byte[0];
    private int outgoingAt;
    private long due = Long.MAX_VALUE;
    private long lostAt = Long.MAX_VALUE;
    private boolean exitedEarly;
    private long lostOutput;
    private String why = "";
    private volatile GomdException error;

    RunningJob(Streams streams, Reopen reopen, Duration timeout, Duration reconnect) {
        this.reopen = reopen;
        this.timeout = timeout;
        this.reconnect = reconnect;
        try {
            join(streams);
            until(() -> facts != null, Wire.deadline(timeout), "the beginning of the job");
        } catch (RuntimeException failure) {
            hangUp();
            throw failure;
        }
    }

    /** Returns its number on its home node. */
    public long number() {
        return facts.job();
    }

    /** Returns the id of the node that it was asked for at. */
    public long home() {
        return facts.home();
    }

    /** Returns the id of the node that it began on. */
    public long node() {
        return facts.node();
    }

    /** Returns its process id at home, null while that is not known. */
    public Long pid() {
        return facts.pid();
    }

    /** Returns how it ended, its own status or 128 + N when signal N ended it; null while it runs. */
    public Integer status() {
        return exited == null ? null : exited.status();
    }

    /** Returns why it ended, a sentence; empty as a rule. */
    public String reason() {
        return exited == null ? "" : exited.reason();
    }

    /** Returns how many bytes of output were not kept and never come: the oldest of a detached job. */
    public long lostOutput() {
        return lostOutput;
    }

    /** Writes to its standard input. Blocks until all of it is on its way, at most 1 MiB ahead of the job. */
    public void write(byte[] bytes) {
        if (inputEnded || exited != null) {
            throw new GomdException(GomdException.Kind.NOT_POSSIBLE, 405, exited != null ? "the job has ended" : "its standard input is closed");
        }
        addInput(bytes);
        until(() -> inputAt == input.length && outgoingAt == outgoing.length, Long.MAX_VALUE, "room for input");
    }

    private void addInput(byte[] bytes) {
        byte[] rest = Arrays.copyOfRange(input, inputAt, input.length + bytes.length);
        System.arraycopy(bytes, 0, rest, input.length - inputAt, bytes.length);
        input = rest;
        inputAt = 0;
    }

    /** Ends its standard input. */
    public void closeInput() {
        inputEnded = true;
        if (exited == null) {
            until(() -> outgoingAt == outgoing.length, Wire.deadline(timeout), "room on the connection");
        }
    }

    /** Returns the next piece of output, null behind the last. Blocks. */
    public Chunk read() {
        return read(Long.MAX_VALUE);
    }

    /** Returns the next piece of output, null behind the last. Blocks for so long at most. */
    public Chunk read(Duration within) {
        return read(Wire.deadline(within));
    }

    private Chunk read(long deadline) {
        until(() -> !chunks.isEmpty() || exited != null, deadline, "output");
        CallerEnd.Data chunk = chunks.poll();
        if (chunk == null) {
            return null;
        }
        end.passedOn(chunk.stream(), chunk.bytes().length);
        if (exited == null) {
            send();
        }
        return new Chunk(chunk.stream() == Frames.STDOUT ? Output.STDOUT : Output.STDERR, chunk.bytes());
    }

    /**
     * All that a job printed.
     *
     * @param stdout its output
     * @param stderr its errors
     */
    public record Printed(byte[] stdout, byte[] stderr) {}

    /** Sends all of its input, and returns all of its output. Blocks until it has ended, for so long at most. */
    public Printed communicate(byte[] bytes, Duration within) {
        long deadline = Wire.deadline(within);
        if (!inputEnded) {
            addInput(bytes);
            inputEnded = true;
        }
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        ByteArrayOutputStream errors = new ByteArrayOutputStream();
        for (Chunk chunk = read(deadline); chunk != null; chunk = read(deadline)) {
            (chunk.output() == Output.STDOUT ? output : errors).writeBytes(chunk.bytes());
        }
        return new Printed(output.toByteArray(), errors.toByteArray());
    }

    /** Returns its exit status. Blocks until it has ended, for so long at most. */
    public int await(Duration within) {
        until(() -> exited != null, Wire.deadline(within), "the end of the job");
        return exited.status();
    }

    /** Sends a signal by its number to its process group, or to its first process only. */
    public void signal(int number, boolean toGroup) {
        if (number < 1 || number > 64) {
            throw GomdException.wrong("there is no signal " + number);
        }
        if (exited != null) {
            return;
        }
        until(() -> end.isAttached() || exited != null, Wire.deadline(timeout), "the streams of the job");
        end.signal(number, toGroup);
        if (exited == null) {
            until(() -> outgoingAt == outgoing.length, Wire.deadline(timeout), "room on the connection");
        }
    }

    /** Sends SIGKILL to its process group. */
    public void kill() {
        signal(9, true);
    }

    /** Tells the size of the terminal of a job that has one. */
    public void setSize(int rows, int columns) {
        end.setSize(rows, columns);
        send();
    }

    /** Closes the connection. */
    @Override
    public void close() {
        if (error == null) {
            error = GomdException.lost("this connection to the job is closed");
        }
        hangUp();
    }

    /** Lets these bytes be all of its input; they are sent while other methods wait. */
    void feed(byte[] bytes) {
        addInput(bytes);
        inputEnded = true;
        send();
    }

    private void until(BooleanSupplier isReady, long deadline, String what) {
        try {
            send();
        } catch (GomdException failure) {
            throw failed(failure);
        }
        while (!isReady.getAsBoolean()) {
            if (error != null) {
                hangUp();
                throw error;
            }
            if (deadline != Long.MAX_VALUE && System.nanoTime() >= deadline) {
                throw GomdException.late(what + " did not come in time");
            }
            try {
                step(deadline);
            } catch (GomdException failure) {
                throw failed(failure);
            }
        }
    }

    private void step(long deadline) {
        Wire here = wire;
        if (here == null) {
            tryAgain(deadline);
            return;
        }
        if (here.awaitEither(outgoingAt < outgoing.length, Math.min(deadline, due))) {
            byte[] bytes = here.readNow();
            if (bytes == null) {
                lost(here.why());
                return;
            }
            if (bytes.length > 0) {
                taken(bytes);
            }
        } else if (due != Long.MAX_VALUE && System.nanoTime() >= due) {
            throw GomdException.late("the daemon began to answer, and then nothing came for " + timeout.toMillis() / 1000.0 + " s");
        }
        send();
    }

    private void taken(byte[] bytes) {
        boolean isEarly = false;
        for (Frames.Frame frame : frames.feed(bytes)) {
            CallerEnd.Event event = end.receive(frame);
            isEarly = isEarly || frame.kind() == Frames.EXIT && !end.isAttached();
            if (event != null) {
                happened(event);
            }
        }
        exitedEarly = !end.isAttached() && (exitedEarly || isEarly);
        if (end.isAttached()) {
            lostAt = Long.MAX_VALUE;
        }
        due = exited == null && (exitedEarly || frames.isInside()) ? Wire.deadline(timeout) : Long.MAX_VALUE;
    }

    private void happened(CallerEnd.Event event) {
        if (event instanceof CallerEnd.Data data && data.bytes().length > 0) {
            chunks.add(data);
        } else if (event instanceof CallerEnd.Started started) {
            if (started.job() == null || started.home() == null || started.node() == null) {
                throw GomdException.malformed("a job without number, home and node");
            }
            facts = started;
        } else if (event instanceof CallerEnd.Attached attached) {
            lostOutput += attached.lostOutput() + attached.lostErrors();
        } else if (event instanceof CallerEnd.Exited ended) {
            exited = ended;
            end.collected();
            if (wire != null) {
                byte[] last = end.dataToSend();
                byte[] all = Arrays.copyOfRange(outgoing, outgoingAt, outgoing.length + last.length);
                System.arraycopy(last, 0, all, outgoing.length - outgoingAt, last.length);
                wire.writeAll(all, Wire.deadline(Duration.ofSeconds(1)));
            }
            hangUp();
        }
    }

    private void send() {
        if (exited == null) {
            int room = Math.min(end.inputRoom(), input.length - inputAt);
            if (room > 0) {
                end.input(input, inputAt, room);
                inputAt += room;
            }
            if (inputEnded && inputAt == input.length && !end.inputHasEnded()) {
                end.endInput();
            }
            if (end.inputHasEnded()) {
                inputAt = input.length;
            }
        }
        byte[] more = end.dataToSend();
        if (more.length > 0) {
            byte[] all = Arrays.copyOfRange(outgoing, outgoingAt, outgoing.length + more.length);
            System.arraycopy(more, 0, all, outgoing.length - outgoingAt, more.length);
            outgoing = all;
            outgoingAt = 0;
        }
        for (Wire here = wire; here != null && outgoingAt < outgoing.length;) {
            int sent = here.writeNow(outgoing, outgoingAt);
            if (sent < 0) { // what the daemon said before it went is still to be read
                outgoingAt = outgoing.length;
            } else if (sent == 0) {
                break;
            } else {
                outgoingAt += sent;
            }
        }
    }

    private void lost(String reason) {
        hangUp();
        why = reason;
        if (lostAt == Long.MAX_VALUE) {
            lostAt = System.nanoTime();
        } else { // this connection was a vain one: the daemon is not really back
            pause();
        }
        if (facts == null || reconnect.isZero()) {
            throw gone();
        }
    }

    private GomdException gone() {
        if (facts == null) {
            return GomdException.lost("the daemon went away before the job began (" + why + ")");
        }
        return GomdException.lost("the daemon went away; job " + facts.job() + " may go on: attach to it again (" + why + ")");
    }

    private void tryAgain(long deadline) {
        long now = System.nanoTime();
        long last = lostAt + reconnect.toNanos();
        if (now >= last) {
            throw gone();
        }
        long limit = Math.min(Math.min(last, deadline) - now, timeout.toNanos());
        Streams streams;
        try {
            streams = reopen.open(facts.job(), Duration.ofNanos(limit));
        } catch (GomdException failure) {
            if (failure.kind() == GomdException.Kind.NOT_FOUND) {
                throw failure;
            }
            why = failure.getMessage();
            pause();
            return;
        }
        join(streams);
    }

    private static void pause() {
        try {
            Thread.sleep(INTERVAL_MS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw GomdException.lost("the thread was interrupted");
        }
    }

    private void join(Streams streams) {
        wire = streams.wire();
        outgoing = new byte[0];
        outgoingAt = 0;
        frames = new Frames();
        exitedEarly = false;
        end.connectionReplaced();
        end.attach();
        taken(streams.early());
        send();
    }

    private void hangUp() {
        outgoingAt = outgoing.length;
        due = Long.MAX_VALUE;
        Wire here = wire;
        if (here != null) {
            here.close();
            wire = null;
        }
    }

    private GomdException failed(GomdException failure) {
        if (error == null) {
            error = failure;
        }
        hangUp();
        return failure;
    }
}
