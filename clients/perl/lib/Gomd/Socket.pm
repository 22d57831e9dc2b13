package Gomd::Socket;

# A socket whose every wait ends at a deadline, by the monotonic clock.

use 5.036;

use Errno qw(EAGAIN EINPROGRESS EINTR EWOULDBLOCK);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use Gomd::Error;
use Socket qw(AF_UNIX IPPROTO_TCP SOCK_STREAM SOL_SOCKET SO_ERROR SO_PEERCRED TCP_NODELAY getaddrinfo pack_sockaddr_un);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

our $VERSION = '0.1.0';

# Seconds that only ever go forward.
sub now () { return clock_gettime(CLOCK_MONOTONIC) }

# Return a connection to the first endpoint that takes one. Dies with the reason of each.
sub dial ($class, $endpoints, $timeout, $verb = undef) {
    my @failures;
    for my $endpoint (@$endpoints) {
        if (defined $verb && !eval { $endpoint->check($verb); 1 }) {
            my $error = $@;
            $error = Gomd::Error::Unproven->new('no daemon at ' . join(', ', @failures) . ", and $error") if @failures;
            die $error;
        }
        my $self = eval { $class->_connect($endpoint, now() + $timeout) };
        if ($self) {
            my $objection = $endpoint->objection($self->{handle});
            return $self if $objection eq '';
            push @failures, $endpoint->text . " ($objection)";
        } else {
            die $@ if !ref $@;
            push @failures, $endpoint->text . " ($@)";
        }
    }
    return Gomd::Error::ConnectionLost->throw('no daemon at ' . join(', ', @failures) . ': is gomd running?');
}

sub _connect ($class, $endpoint, $deadline) {
    my @addresses;
    if (defined $endpoint->path) {
        my $address = eval { pack_sockaddr_un($endpoint->path) } // Gomd::Error::ConnectionLost->throw('the path is too long');
        @addresses = ({ family => AF_UNIX, socktype => SOCK_STREAM, protocol => 0, addr => $address });
    } else {
        (my $error, @addresses) = getaddrinfo($endpoint->host, $endpoint->port, { socktype => SOCK_STREAM });
        Gomd::Error::ConnectionLost->throw("$error") if $error;
    }
    my $why = 'it has no address';
    for my $address (@addresses) {
        socket my $handle, $address->{family}, $address->{socktype}, $address->{protocol} or ($why = "$!"), next;
        my $self = bless { handle => $handle, endpoint => $endpoint }, $class;
        fcntl $handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK;
        setsockopt $handle, IPPROTO_TCP, TCP_NODELAY, 1 if !defined $endpoint->path;
        return $self if connect $handle, $address->{addr};
        if ($! == EINPROGRESS || $! == EAGAIN || $! == EINTR) {
            $self->_wait(1, $deadline) or Gomd::Error::ConnectionLost->throw('it does not answer in time');
            local $! = unpack 'i', getsockopt $handle, SOL_SOCKET, SO_ERROR;
            return $self if !$!;
            $why = "$!";
        } else {
            $why = "$!";
        }
    }
    return Gomd::Error::ConnectionLost->throw($why);
}

# Seconds that select(2) takes: no fewer than none, and no more than it can count.
sub _bounded ($left) { return $left < 0 ? 0 : $left > 1_000_000 ? 1_000_000 : $left }

sub endpoint ($self) { return $self->{endpoint} }
sub fileno   ($self) { return $self->{handle} ? CORE::fileno $self->{handle} : undef }

sub close ($self) {
    CORE::close delete $self->{handle} if $self->{handle};
    return;
}

# Wait until the socket can be read (or written), or the deadline; undef stands for no deadline. Return whether it can.
sub _wait ($self, $for_writing, $deadline) {
    my $handle = $self->{handle} // Gomd::Error::ConnectionLost->throw('this connection is closed');
    while (1) {
        my $left = defined $deadline ? $deadline - now() : undef;
        $left = _bounded($left) if defined $left;
        vec(my $bits = '', CORE::fileno($handle), 1) = 1;
        my $found = $for_writing ? select(undef, $bits, undef, $left) : select($bits, undef, undef, $left);
        return 1 if $found > 0;
        next     if $found < 0 && $! == EINTR;
        next     if $found == 0 && (!defined $deadline || $deadline > now());
        return 0;
    }
}

sub can_read ($self, $deadline) { return $self->_wait(0, $deadline) }

# Wait until there is something to read, or room for output when there is any. Return whether anything happened.
sub wait_for_either ($self, $has_output, $deadline) {
    my $handle = $self->{handle} // Gomd::Error::ConnectionLost->throw('this connection is closed');
    while (1) {
        my $left = defined $deadline ? $deadline - now() : undef;
        $left = _bounded($left) if defined $left;
        vec(my $in = '', CORE::fileno($handle), 1) = 1;
        my $out = $has_output ? $in : undef;
        my $found = select $in, $out, undef, $left;
        return 1 if $found > 0;
        next     if $found < 0 && $! == EINTR;
        next     if $found == 0 && (!defined $deadline || $deadline > now());
        return 0;
    }
}

# Return bytes that have come, '' when none have, undef when the other end has closed.
sub read_now ($self, $most = 262_144) {
    while (1) {
        my $got = sysread $self->{handle}, my ($bytes), $most;
        return $got ? $bytes : undef if defined $got;
        next if $! == EINTR;
        return '' if $! == EAGAIN || $! == EWOULDBLOCK;
        $self->{why} = "$!";
        return;
    }
}

# Return why the other end has closed.
sub why ($self) { return $self->{why} // 'it closed the connection' }

# Send what goes now; return how many bytes did, undef when the connection is gone.
sub write_now ($self, $bytes) {
    while (1) {
        local $SIG{PIPE} = 'IGNORE';
        my $sent = syswrite $self->{handle}, $bytes;
        return $sent if defined $sent;
        next         if $! == EINTR;
        return 0     if $! == EAGAIN || $! == EWOULDBLOCK;
        $self->{why} = "$!";
        return;
    }
}

# Send all of it before the deadline. Return whether that went well.
sub write_all ($self, $bytes, $deadline) {
    while (length $bytes) {
        my $sent = $self->write_now($bytes) // return 0;
        substr $bytes, 0, $sent, '';
        return 0 if length $bytes && !$self->_wait(1, $deadline);
    }
    return 1;
}

1;
