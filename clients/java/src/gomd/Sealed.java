package gomd;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Questions over UDP for a program that has the cluster's key file: one packet there and one back, sealed with ChaCha20-Poly1305
 * (docs/wire.md). A question that is not answered is asked again under a new seal, three times within the timeout.
 */
public final class Sealed implements AutoCloseable {
    private static final int MAX_PACKET = 1200;
    private static final int ROOM = 256;
    private static final int TRIES = 3;
    private static final int QUESTION = 3;
    private static final int ANSWER = 4;
    private static final int SUMMARY = 5;
    private static final SecureRandom RANDOM = new SecureRandom();

    private final DatagramChannel channel;
    private final Selector selector;
    private final List<SocketAddress> to;
    private final Duration timeout;
    private final byte[] datagramKey;
    private final byte[] keyId;
    private final byte[] salt;
    private final long instance = RANDOM.nextLong() & ((1L << 52) - 1);
    private long sequence;

    private Sealed(byte[] secret, byte[] salt, List<SocketAddress> to, Duration timeout) {
        this.datagramKey = derived(secret, "gomd/1 datagram", 32);
        this.keyId = derived(secret, "gomd/1 key id", 8);
        this.salt = salt;
        this.to = to;
        this.timeout = Wire.bounded(timeout);
        try {
            this.channel = DatagramChannel.open();
            channel.configureBlocking(false);
            this.selector = Selector.open();
            channel.register(selector, SelectionKey.OP_READ);
        } catch (IOException error) {
            throw GomdException.lost("no socket: " + error.getMessage());
        }
    }

    /**
     * Addresses the node at a host, with the key in a file that nobody else may read.
     *
     * @param host an IPv4 or IPv6 address, or a name, whose addresses are asked in turn
     */
    public static Sealed open(Path keyFile, String host, int port, Duration timeout) {
        byte[] salt = new byte[8];
        RANDOM.nextBytes(salt);
        List<SocketAddress> to = new ArrayList<>();
        try {
            for (InetAddress each : InetAddress.getAllByName(host)) {
                to.add(new InetSocketAddress(each, port));
            }
        } catch (UnknownHostException error) {
            throw GomdException.lost("the host " + host + " is not known");
        }
        return new Sealed(secret(keyFile), salt, to, timeout);
    }

    static Sealed of(byte[] secret, byte[] salt) {
        return new Sealed(secret, salt, List.of(new InetSocketAddress("127.0.0.1", 1)), Duration.ofSeconds(1));
    }

    private static byte[] secret(Path file) {
        try {
            if (Files.isSymbolicLink(file)) {
                throw notAllowed(file, "a symbolic link is not followed");
            }
            Set<PosixFilePermission> others = Files.getPosixFilePermissions(file, LinkOption.NOFOLLOW_LINKS);
            others.removeAll(PosixFilePermissions.fromString("rwx------"));
            if (!others.isEmpty()) {
                throw notAllowed(file, "others may read or change it: chmod 600 it");
            }
            byte[] found = Files.size(file) > 1024 ? new byte[0] : Base64.getDecoder().decode(Files.readString(file).strip());
            if (found.length != 32) {
                throw notAllowed(file, "it is no key: gom key new makes one");
            }
            return found;
        } catch (IOException error) {
            throw notAllowed(file, "it cannot be read");
        } catch (IllegalArgumentException error) {
            throw notAllowed(file, "it is no key: gom key new makes one");
        }
    }

    private static GomdException notAllowed(Path file, String what) {
        return new GomdException(GomdException.Kind.NOT_ALLOWED, 403, "key file " + file + ": " + what);
    }

    /** Returns the id of the node on which the process of that home node runs now. */
    public synchronized long getCurNode(long pid) {
        List<Object> answer = ask("/proc/" + pid + "/where", ROOM);
        String text = text(answer).strip();
        if (!text.matches("[0-9]{1,5}")) {
            throw GomdException.malformed("where is no number");
        }
        long node = Long.parseLong(text);
        return node != 0 ? node : (Long) ask("", ROOM).get(6);
    }

    /** Returns the text of a file of the tree, its first 1,099 bytes. */
    public synchronized String get(String path) {
        return text(ask(path, MAX_PACKET));
    }

    private static String text(List<Object> answer) {
        String text = new String((byte[]) answer.get(8), StandardCharsets.UTF_8);
        int code = ((Long) answer.get(6)).intValue();
        if (code != 200) {
            throw GomdException.refused(code, text);
        }
        return text;
    }

    private List<Object> ask(String path, int room) {
        if (path.length() > 256 || !path.chars().allMatch(each -> each > ' ' && each < 127)) {
            throw GomdException.wrong("a path is at most 256 printable characters");
        }
        long deadline = Wire.deadline(timeout);
        long number = RANDOM.nextLong() & ((1L << 53) - 1);
        for (int attempt = 1; attempt <= TRIES; attempt++) {
            byte[] body = question(0, instance, System.currentTimeMillis(), ++sequence, number, path, 0, 0, room);
            byte[] nonce = new byte[12];
            RANDOM.nextBytes(nonce);
            try {
                channel.send(ByteBuffer.wrap(seal(body, nonce)), to.get((attempt - 1) % to.size()));
                long end = attempt == TRIES ? deadline : Wire.deadline(timeout.dividedBy(TRIES));
                for (byte[] packet = received(end); packet != null; packet = received(end)) {
                    List<Object> found = values(opened(packet));
                    if (found != null && found.size() > 5 && Long.valueOf(number).equals(found.get(5)) && isAnswer(found)) {
                        return found;
                    }
                }
            } catch (IOException error) {
                throw GomdException.lost(Wire.reason(error));
            }
        }
        throw GomdException.late("no answer within " + timeout.toMillis() / 1000.0 + " seconds; is the key the cluster's?");
    }

    private static boolean isAnswer(List<Object> found) {
        if (Long.valueOf(ANSWER).equals(found.get(0))) {
            return found.size() == 9 && found.get(6) instanceof Long && found.get(8) instanceof byte[];
        }
        return Long.valueOf(SUMMARY).equals(found.get(0)) && found.size() == 18 && found.get(6) instanceof Long;
    }

    private byte[] received(long deadline) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(MAX_PACKET + 1);
        while (true) { // however much comes, the time is looked at in between
            long left = (deadline - System.nanoTime() + 999_999) / 1_000_000;
            if (left <= 0) {
                return null;
            }
            buffer.clear();
            SocketAddress from = channel.receive(buffer);
            if (from != null && to.contains(from)) {
                return Arrays.copyOf(buffer.array(), buffer.position());
            }
            if (from == null) {
                selector.selectedKeys().clear();
                selector.select(left);
            }
        }
    }

    // -- the seal

    private static byte[] mac(byte[] key, byte[]... parts) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            for (byte[] part : parts) {
                mac.update(part);
            }
            return mac.doFinal();
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    /** HKDF-SHA256 (RFC 5869) with an empty salt, of at most 32 bytes. */
    private static byte[] derived(byte[] secret, String label, int length) {
        byte[] pseudorandom = mac(new byte[32], secret);
        return Arrays.copyOf(mac(pseudorandom, label.getBytes(StandardCharsets.US_ASCII), new byte[] {1}), length);
    }

    private byte[] senderKey(byte[] senderSalt) {
        return mac(datagramKey, "gomd/1 sender".getBytes(StandardCharsets.US_ASCII), senderSalt, new byte[] {1});
    }

    private static byte[] ciphered(int mode, byte[] key, byte[] nonce, byte[] header, byte[] text) throws GeneralSecurityException {
        Cipher cipher = Cipher.getInstance("ChaCha20-Poly1305/None/NoPadding");
        cipher.init(mode, new SecretKeySpec(key, "ChaCha20"), new IvParameterSpec(nonce));
        cipher.updateAAD(header);
        return cipher.doFinal(text);
    }

    byte[] seal(byte[] body, byte[] nonce) {
        byte[] header = ByteBuffer.allocate(33).put("gomd\u0001".getBytes(StandardCharsets.US_ASCII)).put(keyId).put(salt).put(nonce).array();
        try {
            byte[] sealed = ciphered(Cipher.ENCRYPT_MODE, senderKey(salt), nonce, header, body);
            return ByteBuffer.allocate(33 + sealed.length).put(header).put(sealed).array();
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Returns the body of a packet, null when it is not sealed with this key. */
    byte[] opened(byte[] packet) {
        byte[] begin = ByteBuffer.allocate(13).put("gomd\u0001".getBytes(StandardCharsets.US_ASCII)).put(keyId).array();
        if (packet.length > MAX_PACKET || packet.length < 49 || !Arrays.equals(packet, 0, 13, begin, 0, 13)) {
            return null;
        }
        try {
            return ciphered(Cipher.DECRYPT_MODE, senderKey(Arrays.copyOfRange(packet, 13, 21)), Arrays.copyOfRange(packet, 21, 33),
                    Arrays.copyOf(packet, 33), Arrays.copyOfRange(packet, 33, packet.length));
        } catch (GeneralSecurityException error) {
            return null;
        }
    }

    // -- the body, CBOR

    private static void head(ByteBuffer out, int major, long number) {
        int type = major << 5;
        if (number < 24) {
            out.put((byte) (type | number));
        } else if (number < 1 << 8) {
            out.put((byte) (type | 24)).put((byte) number);
        } else if (number < 1 << 16) {
            out.put((byte) (type | 25)).putShort((short) number);
        } else if (number < 1L << 32) {
            out.put((byte) (type | 26)).putInt((int) number);
        } else {
            out.put((byte) (type | 27)).putLong(number);
        }
    }

    static byte[] question(long sender, long instance, long sentAt, long sequence, long request, String path, long node, long target, int room) {
        ByteBuffer out = ByteBuffer.allocate(2048);
        head(out, 4, 10);
        for (long each : new long[] {QUESTION, sender, instance, sentAt, sequence, request, node, target}) {
            head(out, 0, each);
        }
        byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
        head(out, 3, bytes.length);
        out.put(bytes);
        int need = room - 49 - out.position();
        int padding = need <= 0 ? 0 : need <= 24 ? need - 1 : need == 25 ? 24 : need <= 258 ? need - 2 : need - 3;
        head(out, 2, padding);
        out.put(new byte[padding]);
        return Arrays.copyOf(out.array(), out.position());
    }

    /** Returns the values of a body: Long, byte arrays, Boolean and null; null when it is none. */
    static List<Object> values(byte[] body) {
        if (body == null) {
            return null;
        }
        ByteBuffer in = ByteBuffer.wrap(body);
        try {
            int first = in.get() & 255;
            long count = number(in, first & 31);
            if (first >> 5 != 4 || count < 0 || count > 64) {
                return null;
            }
            List<Object> found = new ArrayList<>();
            for (long at = 0; at < count; at++) {
                if (!value(in, found)) {
                    return null;
                }
            }
            return in.hasRemaining() ? null : found;
        } catch (java.nio.BufferUnderflowException error) {
            return null;
        }
    }

    private static boolean value(ByteBuffer in, List<Object> found) {
        int first = in.get() & 255;
        int low = first & 31;
        switch (first >> 5) {
            case 0 -> {
                long number = number(in, low);
                found.add(number);
                return number >= 0;
            }
            case 2, 3 -> {
                long length = number(in, low);
                if (length < 0 || length > in.remaining()) {
                    return false;
                }
                byte[] bytes = new byte[(int) length];
                in.get(bytes);
                found.add(bytes);
                return true;
            }
            case 7 -> {
                found.add(low == 20 ? Boolean.FALSE : low == 21 ? Boolean.TRUE : null);
                return low >= 20 && low <= 22;
            }
            default -> {
                return false;
            }
        }
    }

    /** Returns the number of a head, -1 when it has none that is read here. */
    private static long number(ByteBuffer in, int low) {
        return switch (low) {
            case 24 -> in.get() & 255;
            case 25 -> in.getShort() & 0xFFFF;
            case 26 -> in.getInt() & 0xFFFFFFFFL;
            case 27 -> in.getLong();
            default -> low < 24 ? low : -1;
        };
    }

    /** Closes the socket. */
    @Override
    public void close() {
        try {
            channel.close();
            selector.close();
        } catch (IOException error) {
            throw GomdException.lost(Wire.reason(error));
        }
    }
}
