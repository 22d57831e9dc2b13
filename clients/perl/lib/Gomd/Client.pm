package Gomd::Client;

use 5.036;

use Cwd ();
use Encode ();
use Gomd::Endpoint;
use Gomd::Error;
use Gomd::Frames;
use Gomd::Job;
use Gomd::Lines;
use Gomd::Socket;
use Gomd::Watch;
use JSON::PP ();

our $VERSION = '0.1.0';

my $JSON = JSON::PP->new->allow_nonref;
# Characters that one answer may have.
my $MAX_BLOCK = 64 * 1024 * 1024;

# Rows: a list of hashes. Values: what the schema of the verb says. Orders: nothing. The tests compare these with docs/schema.
our %ROWS   = map { $_ => 1 } qw(busiest doctor events help history jobs ls map measures node nodes ps stats switches);
our %VALUES = map { $_ => 1 } qw(cpus get load mem migrate speed status util version whoami where);
our %ORDERS = map { $_ => 1 } qw(
    block bring carry checkpoint expel kill lock lstay noblock nolstay noquiet nostay put quiet renice setspeed setyard
    shutdown signal stay unlock
);
# Options that are not sent: they say which node is asked, and how.
my %OWN = map { $_ => 1 } qw(node timeout period count);

for my $verb (keys %ROWS, keys %VALUES, keys %ORDERS) {
    no strict 'refs';
    *{$verb} = sub ($self, @words) { return $self->call($verb, @words) };
}

sub connect ($class, %options) {
    my $timeout = $options{timeout} // 30;
    my @endpoints = defined $options{endpoint} ? Gomd::Endpoint->parse($options{endpoint}) : Gomd::Endpoint->defaults;
    my $token = $options{token} // $ENV{GOMD_TOKEN} // '';
    my $self = bless { timeout => $timeout, token => $token, owner => $$ }, $class;
    $self->_open(\@endpoints);
    return $self;
}

sub _open ($self, $endpoints) {
    my $deadline = Gomd::Socket::now() + $self->{timeout};
    $self->{socket}   = Gomd::Socket->dial($endpoints, $self->{timeout}, $self->{token} ne '' ? 'auth' : undef);
    $self->{endpoint} = $self->{socket}->endpoint;
    $self->{lines}    = Gomd::Lines->new;
    my $greeting = $self->_next($deadline);
    if ($greeting->[0] ne 'status' || $greeting->[1] != 220) {
        $self->close;
        my ($code, $text) = @$greeting[1, 2];
        Gomd::Error->refused($code, $text) if $greeting->[0] eq 'status' && $code >= 400;
        Gomd::Error::MalformedReply->throw($self->{endpoint}->text . ' does not greet as gomd does');
    }
    $self->_wrong($self->{endpoint}->text . ' is no gomd: another program listens there')
        if $greeting->[2] !~ /\Agomd \S+ node [1-9][0-9]{0,4}(?: |\z)/a;
    $self->_ask('auth', [$self->{token}], '', $deadline) if $self->{token} ne '';
    my ($format) = $self->_ask('format', ['json'], '', $deadline);
    $self->_wrong($self->{endpoint}->text . ' does not answer `format json` as gomd does') if $format != 200;
    return;
}

sub endpoint ($self) { return $self->{endpoint}->text }

sub call ($self, $verb, @words) {
    my %options = @words && ref $words[-1] eq 'HASH' ? %{ pop @words } : ();
    my $deadline = _deadline($options{timeout} // $self->{timeout});
    my ($code, $text, @rows) = $self->_ask($verb, [@words, _options(\%options)], $options{node} // '', $deadline);
    return if $ORDERS{$verb};
    Gomd::Error::MalformedReply->throw("the answer to $verb is a $code and has no rows") if $ROWS{$verb} && $code != 201;
    return map { $self->_decoded($_) } @rows if $VALUES{$verb} && $code == 201;
    return map { $self->_decoded($_) } @rows if $ROWS{$verb};
    return $self->_decoded($text)        if $VALUES{$verb};
    return @rows ? @rows : $text;
}

sub _deadline ($timeout) { return Gomd::Socket::now() + $timeout }

# Return the words for options: { top => 5, jobs => 1, fields => ['pid', 'cpu'] } is --top 5 --jobs --fields pid,cpu.
sub _options ($options) {
    my @words;
    for my $name (sort grep { !$OWN{$_} } keys %$options) {
        my $value = $options->{$name};
        next if !defined $value;
        my $word = '--' . ($name =~ tr/_/-/r);
        push @words, $name eq 'jobs' || $name eq 'dry_run' ? ($value ? $word : ()) : ($word, ref $value ? join ',', @$value : $value);
    }
    return @words;
}

sub _decoded ($self, $text) {
    my $value = eval { $JSON->decode($text) };
    return $value if !$@;
    $self->close;
    return Gomd::Error::MalformedReply->throw('an answer that is no JSON');
}

# Send a request; return the code and the text of its status line, and the lines of its block.
sub _ask ($self, $verb, $words, $node, $deadline) {
    $self->{endpoint}->check($verb, @$words);
    my $request = Gomd::Lines->request($verb, $words, $node);
    Gomd::Error::ConnectionLost->throw('this connection is closed') if !$self->{socket};
    if ($self->{owner} != $$) {
        Gomd::Error::ConnectionLost->throw('this connection is of the process before fork: connect again');
    }
    $self->_check_silent;
    if (!$self->{socket}->write_all($request, $deadline)) {
        # A daemon that has hung up has said why before.
        my $why = $self->{socket}->why;
        $self->close if Gomd::Socket::now() >= $deadline;
        Gomd::Error::TimedOut->throw("the request could not be sent in time: $why") if !$self->{socket};
    }
    my ($what, $code, $text) = @{ $self->_next($deadline) };
    $self->_wrong('a line of a block without a block') if $what ne 'status';
    Gomd::Error->refused($code, $text) if $code >= 400;
    return ($code, $text)              if $code == 200;
    # Behind a 202 are frames, and a 220 or a 221 belongs to another conversation.
    $self->_wrong("the answer to $verb is a $code, which is none") if $code != 201;
    my ($size, @rows) = 0;
    while (1) {
        my $event = $self->_next($deadline);
        if ($event->[0] eq 'end') {
            $self->_check_last($rows[-1] // '');
            return ($code, $text, @rows);
        }
        Gomd::Error->refused(@$event[1, 2]) if $event->[0] eq 'error';
        $size += 1 + length $event->[1];
        $self->_wrong("an answer of more than $MAX_BLOCK characters") if $size > $MAX_BLOCK;
        push @rows, $event->[1];
    }
}

# Return the next thing that the daemon says. Dies, and closes the connection, at the deadline.
sub _next ($self, $deadline) {
    while (1) {
        my $event = eval { $self->{lines}->next };
        if ($@) {
            $self->close;
            die $@;
        }
        return $event if $event;
        Gomd::Error::ConnectionLost->throw('this connection is closed') if !$self->{socket};
        # A daemon that never stops sending has not answered either.
        if (Gomd::Socket::now() > $deadline || !$self->{socket}->can_read($deadline)) {
            $self->close;
            Gomd::Error::TimedOut->throw("no answer within $self->{timeout} seconds");
        }
        my $bytes = $self->{socket}->read_now;
        if (!defined $bytes) {
            my $why = $self->{socket}->why;
            $self->close;
            Gomd::Error::ConnectionLost->throw("the daemon is gone: $why");
        }
        $self->{lines}->feed($bytes);
    }
}

# Die if something has come that nobody asked for, which would be taken for the answer to what is asked now.
sub _check_silent ($self) {
    my $bytes = $self->{socket}->read_now;
    if (!defined $bytes) {
        my $why = $self->{socket}->why;
        $self->close;
        Gomd::Error::ConnectionLost->throw("the daemon is gone: $why");
    }
    $self->{lines}->feed($bytes);
    return if $self->{lines}->is_empty;
    my $event = $self->_next(Gomd::Socket::now());
    $self->close;
    return Gomd::Error::ConnectionLost->throw("the daemon ended the connection ($event->[-1])");
}

# Die of what the last row says of a block that could not be completed.
sub _check_last ($self, $line) {
    return if $line !~ /\A\{\s*"(?:code|error)"/;
    my $row = $self->_decoded($line);
    Gomd::Error->refused(@$row{qw(code error)}) if Gomd::Lines->is_failure($row);
    return;
}

sub _wrong ($self, $what) {
    $self->close;
    return Gomd::Error::MalformedReply->throw($what);
}

# One more connection to the same daemon, in the same role.
sub _again ($self) {
    my $more = bless { %$self{qw(timeout token)}, owner => $$ }, ref $self;
    $more->_open([$self->{endpoint}]);
    return $more;
}

sub watch ($self, $verb, @words) {
    my %options = @words && ref $words[-1] eq 'HASH' ? %{ pop @words } : ();
    my @watch = map { defined $options{ $_->[1] } ? ($_->[0], $options{ $_->[1] }) : () } ['-n', 'period'], ['-c', 'count'];
    push @watch, "\@$options{node}" if defined $options{node};
    my $more = $self->_again;
    $more->{endpoint}->check(watch => @watch, $verb);
    my $deadline = _deadline($options{timeout} // $self->{timeout});
    $more->{socket}->write_all(Gomd::Lines->request(watch => [@watch, $verb, @words, _options(\%options)]), $deadline)
        or Gomd::Error::ConnectionLost->throw('the daemon is gone: ' . $more->{socket}->why);
    my ($what, $code, $text) = @{ $more->_next($deadline) };
    Gomd::Error->refused($code, $text) if $code != 201;
    my ($socket, $lines) = delete @$more{qw(socket lines)};
    return Gomd::Watch->_new($socket, $lines, lc $verb eq 'events' && !defined $options{node});
}

sub do ($self, $name, $options = {}) {
    my (undef, undef, @rows) = $self->_ask(do => [$name], $options->{node} // '', _deadline($options->{timeout} // 86_400));
    my @found = map { $self->_decoded($_) } @rows;
    my $last = @found ? pop @found : {};
    $self->_wrong('a command that did not say how it ended') if ref $last ne 'HASH' || !defined $last->{exit};
    return ($last->{exit}, map { $_->{line} } @found);
}

sub get_cur_node ($self, $node, $pid) { return $self->where($pid, ($node ? $node : ())) }

sub run ($self, $argv, $options = {}) {
    my %options = %$options;
    my ($timeout, $reconnect, $stdin) = delete @options{qw(timeout reconnect stdin)};
    Gomd::Job::_check_bytes($stdin) if defined $stdin;
    my $spec = Gomd::Frames->json(SPEC => _spec($argv, \%options));
    Gomd::Error::MalformedRequest->throw('arguments and environment are too long: put them into a file', 400)
        if length $spec > $Gomd::Frames::MAX_SPEC;
    my $job = $self->_streams(run => [], $spec, $timeout, $reconnect);
    if (defined $stdin) {
        $job->{input} = $stdin;
        $job->{input_ended} = 1;
        $job->_send;
    }
    $job->close if $options{detach};
    return $job;
}

sub attach ($self, $number, $options = {}) {
    return $self->_streams(attach => [$number], '', @$options{qw(timeout reconnect)});
}

sub _streams ($self, $verb, $words, $spec, $timeout, $reconnect) {
    $timeout //= $self->{timeout};
    my ($token, $endpoint, $class) = ($self->{token}, $self->{endpoint}, ref $self);
    my $open = sub ($verb, $words, $spec, $seconds) {
        my $more = bless { timeout => $seconds, token => $token, owner => $$ }, $class;
        $more->_open([$endpoint]);
        $more->{endpoint}->check($verb);
        my $deadline = _deadline($seconds);
        $more->{socket}->write_all(Gomd::Lines->request($verb, $words), $deadline);
        my ($what, $code, $text) = @{ $more->_next($deadline) };
        Gomd::Error->refused($code, $text) if $code >= 400;
        $more->_wrong('it does not carry the streams of a job') if $code != 202;
        my ($socket, $lines) = delete @$more{qw(socket lines)};
        $socket->write_all($spec, $deadline) or Gomd::Error::ConnectionLost->throw('the daemon is gone: ' . $socket->why);
        return ($socket, $lines->rest);
    };
    my ($socket, $early) = $open->($verb, $words, $spec, $timeout);
    my $job = Gomd::Job->_new(
        socket => $socket, early => $early, timeout => $timeout, reconnect => $reconnect // 30,
        reopen => sub ($number, $seconds) { return $open->('attach', [$number], '', $seconds) },
    );
    return $job->_begun($timeout);
}

my @SPEC = qw(cwd env umask tty size merge detach node nodes lock memory memory_max nice limits shared_tmp carry);

# Return the description of a job: the words of its command and its surroundings, this process's where nothing else is said.
sub _spec ($argv, $options) {
    Gomd::Error::MalformedRequest->throw('a command is a list of words, not one text: no shell takes it apart', 400)
        if ref $argv ne 'ARRAY' || !@$argv || grep { !defined || ref || /\0/ } @$argv;
    my %known = map { $_ => 1 } @SPEC;
    for my $name (sort keys %$options) {
        Gomd::Error::MalformedRequest->throw("run has no option $name; it has @SPEC", 400) if !$known{$name};
    }
    my $env  = $options->{env} // \%ENV;
    my $mask = $options->{umask} // umask;    # on its own: with -T it must not stand beside tainted values
    my %spec = (
        argv => [map { _text($_) } @$argv], cwd => _text($options->{cwd} // Cwd::getcwd()),
        env => { map { _text($_) => _text($env->{$_} // '') } keys %$env }, umask => 0 + $mask,
        map { $_ => $options->{$_} ? JSON::PP::true : JSON::PP::false } qw(tty merge detach shared_tmp),
    );
    $spec{lock} = $options->{lock} ? JSON::PP::true : JSON::PP::false if defined $options->{lock};
    for my $name (qw(memory memory_max nice)) {
        my $value = $options->{$name} // next;
        Gomd::Error::MalformedRequest->throw("$name is a whole number", 400) if $value !~ /\A-?[0-9]{1,18}\z/;
        $spec{$name} = 0 + $value;
    }
    for my $name (qw(node nodes)) {
        $spec{$name} = "$options->{$name}" if defined $options->{$name};
    }
    $spec{size}   = [map { 0 + $_ } @{ $options->{size} }] if $options->{size};
    $spec{limits} = $options->{limits}                     if $options->{limits};
    $spec{carry}  = [map { _text(Cwd::realpath($_) // $_) } @{ $options->{carry} }] if $options->{carry};
    return \%spec;
}

# Return bytes as the text of JSON that stands for them: what is no UTF-8 as lone surrogates, as Python has it.
sub _text ($bytes) {
    return $bytes if utf8::is_utf8($bytes);
    my $text = Encode::decode('UTF-8', "$bytes", sub (@octets) { join '', map { chr 0xDC00 + $_ } @octets });
    return $text;
}

sub close ($self) {
    my $socket = delete $self->{socket};
    $socket->close if $socket;
    return;
}

1;

__END__

=encoding utf8

=head1 NAME

Gomd::Client - ask gomd about every machine of a cluster, and run commands on it

=head1 SYNOPSIS

    use Gomd::Client;
    my $gomd = Gomd::Client->connect;
    say "$_->{name} has load $_->{load}" for grep { $_->{up} } $gomd->nodes;
    say "$_->{pid} $_->{command}" for $gomd->ps({ node => 'beta', top => 10, sort => 'cpu' });
    my ($output) = $gomd->run(['uname', '-n'])->communicate;

=head1 DESCRIPTION

gomd runs on every node of a cluster, and any of its daemons answers for all. This library speaks with one of them, over a unix
socket or tcp. It needs Perl 5.36 and nothing that is not in its core; sealed questions (L<Gomd::Sealed>) need CryptX.

A call blocks until the answer is there, at most C<timeout> seconds. What goes wrong is a L<Gomd::Error>, which C<die> throws.
After a timeout, and after an answer that is none, the connection is closed, so that no answer is taken for that of another
question. One process at a time uses a client: connect again after C<fork>.

Values are those of the JSON schemas (docs/schema): hashes with the same names, numbers, C<undef> for what is not known, and
L<JSON::PP>'s true and false. A later daemon may have more names.

=head2 Connecting

=over

=item Gomd::Client->connect(endpoint => TEXT, timeout => SECONDS, token => TEXT)

Connect to C<unix:PATH> or C<tcp:HOST:PORT>; without an endpoint to C<$GOMD_ENDPOINT>, else the unix socket of the user's own
daemon, that of root's, and tcp port 2901 of this machine. A socket that was found so is used only when it is root's or the
user's, and to the port only verbs that read are sent, because any program may listen there. The token, C<$GOMD_TOKEN> unless
said, raises the role over tcp. The timeout is 30 seconds unless said.

=item endpoint, close

The endpoint that answered; end the connection.

=back

=head2 Asking

A method of each verb takes the verb's words, and last a hash of options: C<node> is the node that is asked, C<all> for every
node that is up; C<timeout> is for this call; others are the verb's own options, C<< top => 5, fields => ['pid', 'cpu'] >>.

=over

=item nodes, node, ps, jobs, events, history, busiest, measures, map, ls, stats, doctor, help

Return a list of hashes.

=item load, speed, cpus, util, mem, status, get, where, version, whoami, migrate

Return a value: a number or a hash. Of C<get> it is C<< { path => PATH, text => TEXT } >>.

=item signal, renice, kill, lock, unlock, stay, block, bring, expel, put, checkpoint and the other verbs that change something

Return nothing. docs/verbs.md has them all, with the role that each needs.

=item call(VERB, WORD, ..., { OPTION => VALUE })

Any verb, also one that a later daemon has: a list of the lines of its block, or the text of its status line.

=item do(NAME, { node => NODE })

Run a command of C<[commands]> of gomd.ini; returns its exit status, and the lines that it printed.

=item get_cur_node(NODE, PID)

Return the id of the node on which a process of that home node runs now; 0 as NODE is the node that is asked. This is the
C<getCurNode> of gomd's first plan.

=item watch(VERB, WORD, ..., { node => NODE, period => SECONDS, count => ROUNDS, ... })

Return a L<Gomd::Watch>: the answer again and again, of this node, another one or C<all>.

=back

=head2 Running commands

=over

=item run([COMMAND, ARGUMENT, ...], { OPTION => VALUE })

Start a command on the best node, as the user who asks, and return a L<Gomd::Job> once it runs. No shell reads the words. The
options are C<node> or C<nodes> (C<'1-4,7'>: the best of these), C<cwd>, C<env> and C<umask> (those of this process unless
said), C<stdin> (all of its input), C<tty> and C<size>, C<merge> (its errors go into its output), C<detach>, C<lock>,
C<memory>, C<memory_max>, C<nice>, C<limits>, C<shared_tmp>, C<carry> (paths that travel with it), C<timeout> for it to begin,
and C<reconnect>, the seconds to go on trying when the daemon is restarted meanwhile (30). Words, environment and input are
bytes.

=item attach(NUMBER, { timeout => SECONDS, reconnect => SECONDS })

Return a L<Gomd::Job> with the streams of a job that runs already, a detached one above all.

=back

=head1 SEE ALSO

L<Gomd::Job>, L<Gomd::Watch>, L<Gomd::Error>, L<Gomd::Sealed>, gom(1)

=cut
