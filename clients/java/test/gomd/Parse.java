package gomd;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How long the rows of {@code ps} take: Parse ROUNDS, with the lines of a block at its standard input. A line of output is the
 * milliseconds of processor time of one round. bench/clients.py compares the last ones with json.loads.
 */
final class Parse {
    private Parse() {}

    public static void main(String[] words) throws IOException {
        byte[] bytes = System.in.readAllBytes();
        ThreadMXBean clock = ManagementFactory.getThreadMXBean();
        for (int round = Integer.parseInt(words[0]); round > 0; round--) {
            long begun = clock.getCurrentThreadCpuTime();
            int count = rows(bytes).size();
            System.out.println((clock.getCurrentThreadCpuTime() - begun) / 1e6 + " " + count);
        }
    }

    private static List<ClusterProcess> rows(byte[] bytes) {
        LineReader reader = new LineReader();
        List<ClusterProcess> rows = new ArrayList<>();
        for (int at = 0; at < bytes.length; at += 65536) { // as it comes from a socket
            byte[] piece = Arrays.copyOfRange(bytes, at, Math.min(at + 65536, bytes.length));
            reader.feed(piece, piece.length);
            for (LineReader.Part part = reader.next(); part != null; part = reader.next()) {
                if (part.what() == LineReader.What.LINE) {
                    rows.add(ClusterProcess.of(Json.object(part.text())));
                }
            }
        }
        return rows;
    }
}
