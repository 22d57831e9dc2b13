# How long the rows of `ps` take: parse.pl ROUNDS, with the lines of a block at its standard input. A line of output is the
# milliseconds of processor time of one round. bench/clients.py compares them with json.loads.
use 5.036;
use Gomd::Lines;
use JSON::PP ();

my $json = JSON::PP->new->allow_nonref;
binmode STDIN;
my $bytes = do { local $/; <STDIN> };
for (1 .. $ARGV[0]) {
    my ($user, $system) = times;
    my $lines = Gomd::Lines->new;
    my @rows;
    for (my $at = 0; $at < length $bytes; $at += 65536) {    # as it comes from a socket
        $lines->feed(substr $bytes, $at, 65536);
        while (my $event = $lines->next) { push @rows, $json->decode($event->[1]) if $event->[0] eq 'line' }
    }
    my ($user_after, $system_after) = times;
    say 1000 * ($user_after + $system_after - $user - $system), ' ', scalar @rows;
}
