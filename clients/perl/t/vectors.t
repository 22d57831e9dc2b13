use 5.036;
use Test::More;
use FindBin ();
use lib "$FindBin::Bin/../lib";
use JSON::PP ();

use Gomd::CallerEnd;
use Gomd::Frames;
use Gomd::Lines;

# The vectors of the line and of the streams, which every library passes.
my $DATA = $ENV{GOMD_VECTORS} // "$FindBin::Bin/../../../tests/data";
plan skip_all => 'the vectors are part of the source of gomd: GOMD_VECTORS says where they are' if !-d $DATA && !$ENV{GOMD_VECTORS};
my $JSON = JSON::PP->new->canonical->allow_nonref;

sub vectors ($name) {
    open my $file, '<:raw', "$DATA/$name" or die "$DATA/$name: $!";
    local $/ = undef;
    return @{ $JSON->decode(scalar readline $file) };
}

# Return what a client makes of bytes that come in pieces of a size.
sub replies ($bytes, $size) {
    my ($lines, @found) = (Gomd::Lines->new);
    my $rest = '';
    for my $piece (unpack "(a$size)*", $bytes) {
        if (@found && $found[-1]{code} == 202) {
            $rest .= $piece;
            next;
        }
        $lines->feed($piece);
        while (my $event = $lines->next) {
            my ($what, @more) = @$event;
            if ($what eq 'status') { push @found, { code => $more[0], text => $more[1], lines => [], error => undef } }
            elsif ($what eq 'line')  { push @{ $found[-1]{lines} }, $more[0] }
            elsif ($what eq 'error') { $found[-1]{error} = [@more] }
            last if @found && $found[-1]{code} == 202;
        }
    }
    return (\@found, @found && $found[-1]{code} == 202 ? $lines->rest . $rest : '');
}

for my $vector (vectors('line/replies.json')) {
    my $bytes = pack 'H*', $vector->{bytes};
    for my $size (1, 7, length $bytes) {
        my ($found, $rest) = replies($bytes, $size);
        is_deeply($found, $vector->{replies}, "$vector->{name}, in pieces of $size");
        is(unpack('H*', $rest), $vector->{frames}, "$vector->{name}: what is behind the 202") if $vector->{frames};
    }
    next if !$vector->{original};
    my @lines = map { @{ $_->{lines} } } @{ $vector->{replies} };
    is_deeply([map { unpack 'H*', Gomd::Lines->original($_) } @lines], $vector->{original}, "$vector->{name}: original bytes");
}

# JSON may be written in other ways: two frames are the same when their values are.
my %ALL  = map { $_ => 1 } values %Gomd::Frames::KIND;
my %JSON = map { $Gomd::Frames::KIND{$_} => 1 } qw(ATTACH STARTED ATTACHED EXIT FAILED);

sub readable ($bytes) {
    return [map { [$_->[0], $JSON{ $_->[0] } ? $JSON->decode($_->[1]) : unpack 'H*', $_->[1]] } Gomd::Frames->new(\%ALL)->feed($bytes)];
}

sub meaning ($event) {
    my ($what, @more) = @{ $event // return undef };
    return { started => 0 + $more[0]{job} } if $what eq 'started';
    return { data => [$more[0], unpack 'H*', $more[1]] } if $what eq 'data';
    return { 'input taken' => $more[0] } if $what eq 'taken';
    return { exited => $more[0], reason => $more[1] } if $what eq 'exited';
    return { attached => $more[0], defined $more[1] ? (stop => $more[1]) : () };
}

my $played = 0;
for my $vector (grep { $_->{end} eq 'caller' } vectors('wire/streams.json')) {
    my $end = Gomd::CallerEnd->new(window => $vector->{window});
    my $at  = 0;
    for my $step (@{ $vector->{steps} }) {
        my ($do, $with) = @$step{qw(do with)};
        my $name = "$vector->{name}, step " . $at++ . ": $do";
        if ($do eq 'frame') {
            my ($frame) = Gomd::Frames->new(\%ALL)->feed(pack 'H*', $with);
            my $event = $end->receive(@$frame);
            is($JSON->encode(meaning($event)), $JSON->encode($step->{event}), "$name means it");
        }
        elsif ($do eq 'attach')              { $end->attach }
        elsif ($do eq 'wants stops')         { $end->wants_stops }
        elsif ($do eq 'connection replaced') { $end->connection_replaced }
        elsif ($do eq 'input')               { $end->input(pack 'H*', $with) }
        elsif ($do eq 'end input')           { $end->end_input }
        elsif ($do eq 'input room')          { is($end->input_room, $with, $name) }
        elsif ($do eq 'passed on')           { $end->passed_on(@$with) }
        elsif ($do eq 'collected')           { $end->collected }
        else                                 { fail("$name is not known") }
        is_deeply(readable($end->data_to_send), readable(pack 'H*', $step->{out}), "$name sends it");
        $played++;
    }
}
cmp_ok($played, '>', 50, 'there were steps to play');
done_testing();
