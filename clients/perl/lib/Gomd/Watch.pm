package Gomd::Watch;

use 5.036;

use Gomd::Error;
use Gomd::Lines;
use Gomd::Socket;
use JSON::PP ();

our $VERSION = '0.1.0';

my $JSON     = JSON::PP->new->allow_nonref;
my $MAX_ROWS = 1_000_000;

# The library makes these: `watch` of Gomd::Client. The connection is this watch's own.
sub _new ($class, $socket, $lines, $of_events) {
    return bless { socket => $socket, lines => $lines, rows => [], round => undef, events => $of_events }, $class;
}

sub fileno ($self) { return $self->{socket} ? $self->{socket}->fileno : undef }

sub next ($self, $timeout = undef) {
    my $deadline = defined $timeout ? Gomd::Socket::now() + $timeout : undef;
    my $has_read = 0;    # once in any case: next(0) takes what is there
    while (1) {
        while (my $event = eval { $self->{lines}->next } // $self->_passed($@)) {
            my $found = $self->_taken(@$event);
            return $found if $found;
            return        if !$self->{socket};
        }
        return if !$self->{socket};
        return if $has_read && defined $deadline && Gomd::Socket::now() > $deadline;
        return if !$self->{socket}->can_read($deadline);
        my $bytes = $self->{socket}->read_now;
        if (!defined $bytes) {
            my $why = $self->{socket}->why;
            $self->close;
            Gomd::Error::ConnectionLost->throw("the daemon is gone: $why");
        }
        $self->{lines}->feed($bytes);
        $has_read = 1;
    }
}

sub is_open ($self) { return defined $self->{socket} }

# Pass an error of the parser on, and close; nothing when there was none.
sub _passed ($self, $error) {
    return if !$error;
    $self->close;
    die $error;
}

sub _taken ($self, $what, @more) {
    if ($what eq 'end') {
        $self->close;
        return @{ $self->{rows} } ? $self->_round : undef;
    }
    if ($what ne 'line') {
        $self->close;
        Gomd::Error->refused(@more);
    }
    my $row = eval { $JSON->decode($more[0]) };
    if (ref $row ne 'HASH') {
        $self->close;
        Gomd::Error::MalformedReply->throw('a row of the watch is no JSON object');
    }
    if (Gomd::Lines->is_failure($row)) {
        $self->close;
        Gomd::Error->refused(@$row{qw(code error)});
    }
    return $row if $self->{events};
    my ($round, $rows) = @$row{qw(round rows)};
    if (!defined $round || !defined $rows || "$round$rows" !~ /\A[0-9]{1,30}\z/ || $rows > $MAX_ROWS) {
        $self->close;
        Gomd::Error::MalformedReply->throw('a row of the watch does not say which round it is of');
    }
    if ($rows == 0) {
        @{ $self->{rows} } = ();
        return { round => $round, rows => [] };
    }
    @{ $self->{rows} } = () if defined $self->{round} && $self->{round} != $round;
    $self->{round} = $round;
    delete @$row{qw(round rows)};
    push @{ $self->{rows} }, $row;
    return @{ $self->{rows} } == $rows ? $self->_round : undef;
}

sub _round ($self) {
    my @rows = splice @{ $self->{rows} };
    return { round => $self->{round}, rows => \@rows };
}

sub close ($self) {
    my $socket = delete $self->{socket};
    $socket->close if $socket;
    return;
}

sub DESTROY ($self) {
    local ($@, $!, $?);
    $self->close;
    return;
}

1;

__END__

=encoding utf8

=head1 NAME

Gomd::Watch - an answer that comes again and again

=head1 SYNOPSIS

    my $watch = Gomd::Client->connect->watch('ps', { node => 'all', top => 5, period => 2 });
    while (my $round = $watch->next) {
        say "$_->{from}: $_->{pid} $_->{command}" for @{ $round->{rows} };
    }

=head1 DESCRIPTION

C<watch> of L<Gomd::Client> makes these; each has a connection of its own.

=over

=item next([SECONDS])

Wait for the next round and return C<< { round => NUMBER, rows => [ROW, ...] } >>, a row being what the verb's schema says
(docs/schema), with C<from> and C<rows_age> when several nodes are watched. Of C<events>, which come one by one, it returns the
event. Returns undef when nothing came in time, and when the watch has ended, which C<is_open> tells apart. Dies with a
L<Gomd::Error> when the daemon goes away.

=item fileno

The descriptor to wait for in a loop of one's own; call C<next(0)> until it returns undef when it is readable.

=item close, is_open

End the watch; whether it goes on.

=back

=cut
