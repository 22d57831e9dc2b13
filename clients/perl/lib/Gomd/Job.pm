package Gomd::Job;

use 5.036;

use Gomd::CallerEnd;
use Gomd::Error;
use Gomd::Frames;
use Gomd::Socket;
use Scalar::Util qw(looks_like_number);
use Config ();

our $VERSION = '0.1.0';

my $INTERVAL = 0.1;

# The library makes these: `run` and `attach` of Gomd::Client.
#
# :param socket, early: a connection that was answered with 202, and what came behind that already.
# :param reopen: opens the next connection, of a number and a timeout: returns (socket, early).
# :param timeout: seconds for what the daemon owes at once. :param reconnect: seconds to reach a daemon that went away.
sub _new ($class, %options) {
    my $serial = join '', map { int rand 10 } 1 .. 12;
    my $self = bless {
        %options, end => Gomd::CallerEnd->new(serial => $serial), frames => Gomd::Frames->new, chunks => [], input => '',
        input_ended => 0, outgoing => '',
    }, $class;
    my ($socket, $early) = (delete $self->{socket}, delete $self->{early});
    eval { $self->_join($socket, $early); 1 } or $self->_fail($@);
    return $self;
}

sub number   ($self) { return $self->{facts}{job} }
sub home     ($self) { return $self->{facts}{home} }
sub node     ($self) { return $self->{facts}{node} }
sub pid      ($self) { return $self->{facts}{pid} }
sub detached ($self) { return $self->{facts}{detached} }
sub status   ($self) { return $self->{exited} ? $self->{exited}[0] : undef }
sub reason   ($self) { return $self->{exited} ? $self->{exited}[1] : '' }
sub lost_output ($self) { return $self->{lost} // 0 }
sub fileno   ($self) { return $self->{socket} ? $self->{socket}->fileno : undef }

sub _begun ($self, $timeout) {
    $self->_until(sub { $self->{facts} }, $timeout, 'the beginning of the job');
    return $self;
}

sub write ($self, $bytes, $timeout = undef) {
    Gomd::Error::NotPossible->throw('its standard input is closed', 405) if $self->{input_ended};
    Gomd::Error::NotPossible->throw('the job has ended', 405)            if $self->{exited};
    _check_bytes($bytes);
    $self->{input} .= $bytes;
    $self->_until(sub { $self->{input} eq '' && $self->{outgoing} eq '' }, $timeout, 'room for input');
    return;
}

# Let its argument be bytes. Dies when it has characters.
sub _check_bytes {
    utf8::downgrade($_[0], 1)
        or Gomd::Error::MalformedRequest->throw('standard input takes bytes, not characters: encode the text first', 400);
    return;
}

sub close_stdin ($self) {
    $self->{input_ended} = 1;
    $self->_until(sub { $self->{outgoing} eq '' }, $self->{timeout}, 'room on the connection') if !$self->{exited};
    return;
}

sub read ($self, $timeout = undef) {
    $self->_until(sub { @{ $self->{chunks} } || $self->{exited} }, $timeout, 'output');
    my $chunk = shift @{ $self->{chunks} } // return;
    $self->{end}->passed_on($chunk->[0], length $chunk->[1]);
    $self->_send if !$self->{exited};
    return @$chunk;
}

sub communicate ($self, $input = '', $timeout = undef) {
    my $deadline = defined $timeout ? Gomd::Socket::now() + $timeout : undef;
    _check_bytes($input);
    $self->{input} .= $input if !$self->{input_ended};
    $self->{input_ended} = 1;
    my %found = (stdout => '', stderr => '');
    while (my ($stream, $bytes) = $self->read(defined $deadline ? $deadline - Gomd::Socket::now() : undef)) {
        $found{$stream} .= $bytes;
    }
    return ($found{stdout}, $found{stderr});
}

sub wait ($self, $timeout = undef) {
    $self->_until(sub { $self->{exited} }, $timeout, 'the end of the job');
    return $self->status;
}

sub signal ($self, $signal, %options) {
    return if $self->{exited};
    my $number = looks_like_number($signal) ? $signal : _number_of($signal);
    Gomd::Error::MalformedRequest->throw("there is no signal $signal", 400) if $number < 1 || $number > 64;
    $self->_until(sub { $self->{end}->is_attached || $self->{exited} }, $self->{timeout}, 'the streams of the job');
    $self->{end}->signal($number, $options{group} // 1);
    $self->_until(sub { $self->{outgoing} eq '' }, $self->{timeout}, 'room on the connection') if !$self->{exited};
    return;
}

sub _number_of ($name) {
    my @names = split ' ', $Config::Config{sig_name};
    my ($found) = grep { $names[$_] eq uc($name =~ s/\ASIG//ir) } 0 .. $#names;
    return $found // 0;
}

sub set_size ($self, $rows, $columns) {
    $self->{end}->set_size($rows, $columns);
    $self->_send;
    return;
}

sub kill ($self) { return $self->signal('KILL') }

sub close ($self) {
    $self->_fail(Gomd::Error::ConnectionLost->new('this connection to the job is closed'), 1);
    return;
}

sub DESTROY ($self) {
    local ($@, $!, $?);
    $self->{socket}->close if $self->{socket};
    return;
}

# Go on until it is ready. Dies at the timeout, which leaves the job as it is, and when the streams are lost for good.
sub _until ($self, $ready, $timeout, $what) {
    my $deadline = defined $timeout ? Gomd::Socket::now() + $timeout : undef;
    eval { $self->_send; 1 } or $self->_fail($@);
    while (!$ready->()) {
        die $self->{error} if $self->{error};
        Gomd::Error::TimedOut->throw("$what did not come within $timeout seconds")
            if defined $deadline && Gomd::Socket::now() >= $deadline;
        eval { $self->_step($deadline); 1 } or $self->_fail($@);
    }
    return;
}

sub _step ($self, $deadline) {
    return $self->_try_again($deadline) if !$self->{socket};
    my ($end) = sort { $a <=> $b } grep { defined } $deadline, $self->{due};
    my $happened = $self->{socket}->wait_for_either($self->{outgoing} ne '', $end);
    if ($happened) {
        my $bytes = $self->{socket}->read_now;
        return $self->_lost($self->{socket}->why) if !defined $bytes;
        $self->_taken($bytes)                     if $bytes ne '';
    } elsif (defined $self->{due} && Gomd::Socket::now() >= $self->{due}) {
        Gomd::Error::TimedOut->throw("the daemon began to answer, and then nothing came for $self->{timeout} s");
    }
    $self->_send;
    return;
}

sub _taken ($self, $bytes) {
    my $is_early = 0;
    for my $frame ($self->{frames}->feed($bytes)) {
        my $event = $self->{end}->receive(@$frame);
        $is_early = 1 if $frame->[0] == $Gomd::Frames::KIND{EXIT} && !$self->{end}->is_attached;
        $self->_happened(@$event) if $event;
    }
    delete $self->{lost_at} if $self->{end}->is_attached;
    $self->{early} = !$self->{end}->is_attached && ($self->{early} || $is_early);
    my $owes = !$self->{exited} && ($self->{early} || $self->{frames}{rest} ne '');
    $self->{due} = $owes ? Gomd::Socket::now() + $self->{timeout} : undef;
    return;
}

sub _happened ($self, $what, @more) {
    if ($what eq 'data') {
        push @{ $self->{chunks} }, [@more] if length $more[1];
    } elsif ($what eq 'started') {
        Gomd::Error::MalformedReply->throw('a job without number, home and node')
            if grep { !defined $more[0]{$_} } qw(job home node);
        $self->{facts} = $more[0];
    } elsif ($what eq 'attached') {
        $self->{lost} += $_ for values %{ $more[0] };
    } elsif ($what eq 'exited') {
        $self->{exited} = \@more;
        $self->_finish;
    }
    return;
}

# The exit status has arrived: say so, and hang up.
sub _finish ($self) {
    $self->{end}->collected;
    $self->{socket}->write_all($self->{outgoing} . $self->{end}->data_to_send, Gomd::Socket::now() + 1) if $self->{socket};
    $self->_hang_up;
    return;
}

sub _send ($self) {
    if (!$self->{exited}) {
        if (my $room = $self->{end}->input_room and $self->{input} ne '') {
            $self->{end}->input(substr $self->{input}, 0, $room, '');
        }
        $self->{end}->end_input if $self->{input_ended} && $self->{input} eq '' && !$self->{end}->input_ended;
        $self->{input} = ''     if $self->{end}->input_ended;
    }
    $self->{outgoing} .= $self->{end}->data_to_send;
    return if !$self->{socket};
    while ($self->{outgoing} ne '') {
        my $sent = $self->{socket}->write_now($self->{outgoing});
        if (!defined $sent) {    # what the daemon said before it went is still to be read
            $self->{outgoing} = '';
            return;
        }
        last if !$sent;
        substr $self->{outgoing}, 0, $sent, '';
    }
    return;
}

sub _lost ($self, $why) {
    $self->_hang_up;
    $self->{why} = $why;
    if (defined $self->{lost_at}) {    # this connection was a vain one: the daemon is not really back
        select undef, undef, undef, $INTERVAL;
    } else {
        $self->{lost_at} = Gomd::Socket::now();
    }
    $self->_gone if !$self->{facts} || !$self->{reconnect};
    return;
}

sub _gone ($self) {
    Gomd::Error::ConnectionLost->throw("the daemon went away before the job began ($self->{why})") if !$self->{facts};
    my $job = $self->{facts}{job};
    return Gomd::Error::ConnectionLost->throw(
        "the daemon went away; job $job may go on: attach to it again ($self->{why})");
}

sub _try_again ($self, $deadline) {
    my $now = Gomd::Socket::now();
    my $end = $self->{lost_at} + $self->{reconnect};
    $self->_gone if $now >= $end;
    $end = $deadline if defined $deadline && $deadline < $end;
    my $limit = $end - $now;
    $limit = $self->{timeout} if $self->{timeout} < $limit;
    my ($socket, $early) = eval { $self->{reopen}->($self->{facts}{job}, $limit) };
    if (!$socket) {
        my $error = $@;
        die $error if !ref $error || !$error->isa('Gomd::Error') || $error->isa('Gomd::Error::NotFound');
        $self->{why} = "$error";
        select undef, undef, undef, $INTERVAL;
        return;
    }
    $self->_join($socket, $early);
    return;
}

sub _join ($self, $socket, $early) {
    $self->{socket}   = $socket;
    $self->{outgoing} = '';
    $self->{frames}   = Gomd::Frames->new;
    $self->{early}    = 0;
    $self->{end}->connection_replaced;
    $self->{end}->attach;
    $self->_taken($early // '');
    $self->_send;
    return;
}

sub _hang_up ($self) {
    $self->{outgoing} = '';
    delete $self->{due};
    my $socket = delete $self->{socket};
    $socket->close if $socket;
    return;
}

sub _fail ($self, $error, $quietly = 0) {
    $self->{error} //= $error;
    $self->_hang_up;
    return if $quietly;
    die $error;
}

1;

__END__

=encoding utf8

=head1 NAME

Gomd::Job - a command that runs on the cluster, with its streams here

=head1 SYNOPSIS

    my $job = Gomd::Client->connect->run(['sort', '-n'], { node => 'beta' });
    my ($output, $errors) = $job->communicate("3\n1\n2\n");
    print $output;
    exit $job->status;

=head1 DESCRIPTION

C<run> and C<attach> of L<Gomd::Client> make these. The streams survive a daemon that is restarted and a job that moves to
another node. At most 1 MiB of each output waits here; a job that writes more waits for its reader, as for that of a pipe.
Each method dies with a L<Gomd::Error>; a C<TimedOut> of a timeout that was given leaves the job as it is. When the object goes
away, the job gets SIGHUP, and SIGKILL five seconds later, unless it is a detached one.

=over

=item write(BYTES, [SECONDS])

Write to its standard input. Blocks until all of it is on its way, at most 1 MiB ahead of the job.

=item close_stdin

End its standard input.

=item read([SECONDS])

Return the next piece of output as C<(STREAM, BYTES)>, STREAM being C<stdout> or C<stderr>; the empty list behind the last.

=item communicate([BYTES, [SECONDS]])

Send all of its input, and return all of its output and of its errors. Blocks until it has ended.

=item wait([SECONDS])

Return its exit status: its own, or 128 + N when signal N ended it.

=item signal(SIGNAL, group => 1), kill

Send a signal, by number or name, to its process group, or with C<< group => 0 >> to its first process; C<kill> sends KILL.

=item set_size(ROWS, COLUMNS)

Tell the size of the terminal of a job that has one.

=item number, home, node, pid, detached

What the daemon said of it when it began.

=item status, reason

How it ended: undef while it runs, and a sentence, empty as a rule.

=item lost_output

Bytes of output that were not kept and never come: the oldest of a detached job.

=item fileno

The descriptor to wait for in a loop of one's own. Call C<read(0)> when it is readable.

=item close

Close the connection.

=back

=cut
