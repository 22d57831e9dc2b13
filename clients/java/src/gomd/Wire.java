package gomd;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A socket whose every wait ends at a deadline; deadlines are those of {@link System#nanoTime}. One thread at a time. */
final class Wire implements AutoCloseable {
    /** A timeout of this length or a longer one never ends. */
    static final Duration LONGEST = Duration.ofDays(36_500);
    private final SocketChannel channel;
    private final Selector selector;
    private final SelectionKey key;
    private final Endpoint endpoint;
    private final ByteBuffer buffer = ByteBuffer.allocate(1 << 18);
    private String why = "it closed the connection";

    private Wire(SocketChannel channel, Selector selector, Endpoint endpoint) throws IOException {
        this.channel = channel;
        this.selector = selector;
        this.endpoint = endpoint;
        this.key = channel.register(selector, 0);
    }

    /** Returns when this time is over; {@code Long.MAX_VALUE}, which stands for never, when it is too long to be counted. */
    static long deadline(Duration timeout) {
        long now = System.nanoTime();
        return timeout.compareTo(LONGEST) >= 0 ? Long.MAX_VALUE : now + timeout.toNanos();
    }

    /** Returns a timeout that can be counted in nanoseconds: the longest one stands for all that never end. */
    static Duration bounded(Duration timeout) {
        return timeout.compareTo(LONGEST) > 0 ? LONGEST : timeout;
    }

    /** Returns why something failed, a text in any case: an interrupted channel has no message of its own. */
    static String reason(Exception error) {
        return error.getMessage() == null ? error.getClass().getSimpleName() : error.getMessage();
    }

    /** Returns a connection to the first endpoint that takes one. */
    static Wire dial(List<Endpoint> endpoints, Duration timeout, String verb) {
        List<String> failures = new ArrayList<>();
        for (Endpoint each : endpoints) {
            if (verb != null) {
                each.check(verb, List.of());
            }
            String objection = each.objection();
            if (objection.isEmpty()) {
                try {
                    return open(each, deadline(timeout));
                } catch (IOException | RuntimeException error) {
                    objection = reason(error);
                }
            }
            failures.add(each + " (" + objection + ")");
        }
        throw GomdException.lost("no daemon at " + String.join(", ", failures) + ": is gomd running?");
    }

    private static Wire open(Endpoint endpoint, long deadline) throws IOException {
        IOException failure = new IOException("it has no address");
        for (SocketAddress address : addresses(endpoint)) {
            SocketChannel channel = endpoint.isTcp() ? SocketChannel.open() : SocketChannel.open(StandardProtocolFamily.UNIX);
            Selector selector = null;
            try {
                channel.configureBlocking(false);
                if (endpoint.isTcp()) {
                    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                    channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
                }
                selector = Selector.open();
                Wire wire = new Wire(channel, selector, endpoint);
                if (!channel.connect(address)) {
                    if (!wire.await(SelectionKey.OP_CONNECT, deadline) || !channel.finishConnect()) {
                        throw new IOException("it does not answer in time");
                    }
                }
                return wire;
            } catch (IOException error) {
                failure = error;
                channel.close();
                if (selector != null) {
                    selector.close();
                }
            }
        }
        throw failure;
    }

    private static List<SocketAddress> addresses(Endpoint endpoint) throws IOException {
        if (!(endpoint.address() instanceof InetSocketAddress named)) {
            return List.of(endpoint.address());
        }
        List<SocketAddress> found = new ArrayList<>();
        try {
            for (InetAddress each : InetAddress.getAllByName(named.getHostString())) {
                found.add(new InetSocketAddress(each, named.getPort()));
            }
        } catch (UnknownHostException error) {
            throw new IOException("there is no such host");
        }
        return found;
    }

    Endpoint endpoint() {
        return endpoint;
    }

    String why() {
        return why;
    }

    boolean isOpen() {
        return channel.isOpen();
    }

    private boolean await(int operations, long deadline) throws IOException {
        try {
            return awaited(operations, deadline);
        } catch (ClosedSelectorException | CancelledKeyException error) { // another thread has closed it
            throw GomdException.lost("this connection is closed");
        }
    }

    private boolean awaited(int operations, long deadline) throws IOException {
        key.interestOps(operations);
        while (true) {
            long left = deadline == Long.MAX_VALUE ? 0 : (deadline - System.nanoTime() + 999_999) / 1_000_000;
            selector.selectedKeys().clear();
            if (left <= 0 && deadline != Long.MAX_VALUE) {
                return selector.selectNow() > 0;
            }
            if (selector.select(left) > 0) {
                selector.selectedKeys().clear();
                return true;
            }
            if (Thread.interrupted()) {
                Thread.currentThread().interrupt();
                close();
                throw GomdException.lost("the thread was interrupted, and the connection is closed");
            }
        }
    }

    /** Waits until there is something to read, or room for output when there is any; returns whether anything happened. */
    boolean awaitEither(boolean hasOutput, long deadline) {
        if (!channel.isOpen()) {
            throw GomdException.lost("this connection is closed");
        }
        try {
            return await(SelectionKey.OP_READ | (hasOutput ? SelectionKey.OP_WRITE : 0), deadline);
        } catch (IOException error) {
            throw GomdException.lost(reason(error));
        }
    }

    /** Returns bytes that have come, none when none have, null when the other end has closed. */
    byte[] readNow() {
        buffer.clear();
        try {
            int got = channel.read(buffer);
            return got < 0 ? null : Arrays.copyOf(buffer.array(), got);
        } catch (IOException error) {
            why = reason(error);
            return null;
        }
    }

    /** Sends what goes now; returns how many bytes did, -1 when the connection is gone. */
    int writeNow(byte[] bytes, int from) {
        try {
            return channel.write(ByteBuffer.wrap(bytes, from, bytes.length - from));
        } catch (IOException error) {
            why = reason(error);
            return -1;
        }
    }

    /** Sends all of it before the deadline; returns whether that went well. */
    boolean writeAll(byte[] bytes, long deadline) {
        int at = 0;
        try {
            while (at < bytes.length) {
                int sent = writeNow(bytes, at);
                if (sent < 0) {
                    return false;
                }
                at += sent;
                if (at < bytes.length && !await(SelectionKey.OP_WRITE, deadline)) {
                    return false;
                }
            }
            return true;
        } catch (IOException error) {
            why = reason(error);
            return false;
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
            selector.close();
        } catch (IOException error) {
            why = reason(error);
        }
    }
}
