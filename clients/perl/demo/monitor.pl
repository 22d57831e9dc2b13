#!/usr/bin/perl
# The nodes of a cluster and the processes that use most of it, once a second, as the first monitor of gomd was to be: in Perl.
#
#   perl -Ilib demo/monitor.pl [SECONDS] [ROUNDS]

use 5.036;
use open qw(:std :encoding(UTF-8));

use Gomd::Client;

my ($period, $rounds) = @ARGV;
$period //= 1;
$SIG{INT} = sub { exit 130 };

# Draw a share of one as a bar.
sub bar ($share, $width = 20) {
    my $full = int(($share > 1 ? 1 : $share < 0 ? 0 : $share) * $width + 0.5);
    return '[' . '#' x $full . ' ' x ($width - $full) . ']';
}

sub known ($value, $format) { return defined $value ? sprintf $format, $value : '-' }

my $gomd = Gomd::Client->connect;
my $busy = $gomd->watch('ps', { node => 'all', top => 5, sort => 'cpu', period => $period, (defined $rounds ? (count => $rounds) : ()) });
while (my $round = $busy->next) {
    print "\e[H\e[2J" if -t STDOUT;
    for my $node ($gomd->nodes) {
        if (!$node->{up}) {
            printf "%5d %-16.16s down\n", @$node{qw(id name)};
            next;
        }
        my $used = $node->{tmem} && defined $node->{mem} ? 1 - $node->{mem} / $node->{tmem} : 0;
        my $load = ($node->{load} // 0) / 100 / ($node->{cpus} || 1);
        printf "%5d %-16.16s load %6s %s  memory %3.0f%% %s\n", @$node{qw(id name)}, known($node->{load}, '%d'), bar($load), 100 * $used, bar($used);
    }
    say '';
    printf "%5s %7s %-10s %6s %8s  %s\n", qw(NODE PID USER CPU% RSS/MB COMMAND);
    my @rows = sort { ($b->{cpu} // 0) <=> ($a->{cpu} // 0) } grep { defined $_->{pid} } @{ $round->{rows} };
    for my $process (grep { defined } @rows[0 .. 9]) {
        printf "%5d %7d %-10.10s %6s %8s  %.60s\n", @$process{qw(from pid user)}, known($process->{cpu}, '%.1f'),
            known(defined $process->{rss} ? $process->{rss} / 1e6 : undef, '%.1f'), $process->{command} // $process->{name} // '';
    }
}
