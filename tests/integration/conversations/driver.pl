# Makes calls of the library in Perl; see drivers.py.
use 5.036;
use Gomd::Client;
use JSON::PP ();

my $json = JSON::PP->new->allow_nonref->canonical->ascii;
my ($gomd, $watch, $job);

# The bytes that go through a job and back: what is printed says whether all of them came as they went.
sub byte_string ($count) {
    state %made;
    return $made{$count} //= pack 'C*', map { ($_ * 2654435761 & 0xFFFFFFFF) >> 13 & 0xFF } 0 .. $count - 1;
}

sub seen ($row) {
    my $failed = defined $row->{error};
    return {
        from => $row->{from}, age => $row->{rows_age} // 0, left => $row->{left} ? JSON::PP::true : JSON::PP::false,
        code => $failed ? $row->{code} : undef, value => $failed || $row->{left} ? undef : $row->{value},
    };
}

my %calls = (
    connect => sub ($endpoint, $seconds, $token = '') {
        $gomd = Gomd::Client->connect(endpoint => $endpoint, timeout => $seconds, token => $token);
        return;
    },
    ask => sub ($verb, @words) {
        my @found = $gomd->call($verb, @words);
        return [@found] if $Gomd::Client::ROWS{$verb};
        return $Gomd::Client::VALUES{$verb} ? $found[0] : $json->decode($found[0]);
    },
    read => sub ($verb, @words) {
        my @found = $gomd->$verb(@words);
        return $Gomd::Client::ROWS{$verb} ? [@found] : $found[0];
    },
    watch   => sub ($node, $seconds, $verb) { $watch = $gomd->watch($verb, { node => $node, period => $seconds }); return },
    next    => sub () { return [map { seen($_) } @{ $watch->next(20)->{rows} }] },
    unwatch => sub () { $watch->close; return },
    run     => sub (@argv) { $job = $gomd->run([@argv]); return { job => $job->number } },
    attach  => sub ($number) { $job = $gomd->attach($number); return { job => $job->number } },
    both    => sub ($count) {
        my $bytes = byte_string($count);
        my ($output, $errors) = $job->communicate($bytes);
        my $same = $output eq $bytes && $errors eq '' ? JSON::PP::true : JSON::PP::false;
        return { same => $same, bytes => length $output, status => $job->wait };
    },
    output => sub ($count) {
        my $output = '';
        while (my (undef, $bytes) = $job->read) { $output .= $bytes }
        return { same => $output eq byte_string($count) ? JSON::PP::true : JSON::PP::false, bytes => length $output, status => $job->wait };
    },
    wait   => sub ($seconds) { return $job->wait($seconds) },
    signal => sub ($number) { $job->signal($number); return },
    leave  => sub () { $job->close; return },
);

$| = 1;
$SIG{USR1} = sub { };
while (defined(my $line = <STDIN>)) {
    chomp $line;
    my ($name, @words) = split /\t/, $line, -1;
    my $answer = eval { { ok => scalar $calls{$name}->(@words) } };
    if (my $error = $@) {
        die $error if !ref $error;
        $answer = { error => (ref $error) =~ s/.*:://r, code => $error->code, text => "$error" };
    }
    say $json->encode($answer);
}
