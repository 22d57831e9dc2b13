import gomd.ClusterProcess;
import gomd.Gomd;
import gomd.Node;
import gomd.Round;
import gomd.Selection;
import gomd.Watch;
import java.time.Duration;
import java.util.Comparator;

/**
 * The nodes of a cluster and the processes that use most of it, once a second: java -cp build/gomd.jar demo/Monitor.java
 * [SECONDS [ROUNDS]].
 */
public final class Monitor {
    public static void main(String[] words) {
        double seconds = words.length > 0 ? Double.parseDouble(words[0]) : 1;
        long rounds = words.length > 1 ? Long.parseLong(words[1]) : Long.MAX_VALUE;
        Selection busiest = Selection.all().top(5).sort("cpu");
        try (Gomd gomd = Gomd.connect();
                Watch<ClusterProcess> watch = gomd.on("all").watchPs(busiest, Duration.ofMillis((long) (seconds * 1000)))) {
            watch.stream().limit(rounds).forEach(round -> draw(gomd, round));
        }
    }

    private static void draw(Gomd gomd, Round<ClusterProcess> round) {
        System.out.print("\033[H\033[2J");
        for (Node node : gomd.nodes()) {
            if (node.load() == null || node.mem() == null || node.tmem() == null) {
                System.out.printf("%5d %-16.16s %s%n", node.id(), node.name(), node.up() ? "tells no values" : "down");
            } else {
                double used = 1 - (double) node.mem() / node.tmem();
                System.out.printf("%5d %-16.16s load %6d  memory %3.0f%%%n", node.id(), node.name(), node.load(), 100 * used);
            }
        }
        System.out.printf("%n%5s %7s %-10s %6s  %s%n", "NODE", "PID", "USER", "CPU%", "COMMAND");
        round.rows().stream().filter(seen -> seen.value() != null)
                .sorted(Comparator.comparingDouble((Round.Seen<ClusterProcess> seen) -> -share(seen.value()))).limit(10)
                .forEach(seen -> System.out.printf("%5d %7d %-10.10s %6.1f  %.60s%n", seen.from(), seen.value().pid(),
                        seen.value().user(), share(seen.value()), seen.value().command()));
    }

    private static double share(ClusterProcess process) {
        return process.cpuPercent() == null ? 0 : process.cpuPercent();
    }

    private Monitor() {}
}
