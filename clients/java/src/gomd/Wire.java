package gomd;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A socket whose every wait ends at a deadline; deadlines are those of {@link System#nanoTime}. One thread at a time. */
final class Wire implements AutoCloseable {
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

    static long deadline(Duration timeout) {
        return System.nanoTime() + timeout.toNanos();
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
                    objection = error.getMessage() == null ? error.getClass().getSimpleName() : error.getMessage();
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
            throw GomdException.lost(String.valueOf(error.getMessage()));
        }
    }

    /** Returns bytes that have come, none when none have, null when the other end has closed. */
    byte[] readNow() {
        buffer.clear();
        try {
            int got = channel.read(buffer);
            return got < 0 ? null : Arrays.copyOf(buffer.array(), got);
        } catch (IOException error) {
            why = String.valueOf(error.getMessage());
            return null;
        }
    }

    /** Sends what goes now; returns how many bytes did, -1 when the connection is gone. */
    int writeNow(byte[] bytes, int from) {
        try {
            return channel.write(ByteBuffer.wrap(bytes, from, bytes.length - from));
        } catch (IOException error) {
            why = String.valueOf(error.getMessage());
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
            why = String.valueOf(error.getMessage());
            return false;
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
            selector.close();
        } catch (IOException error) {
            why = String.valueOf(error.getMessage());
        }
    }
}
