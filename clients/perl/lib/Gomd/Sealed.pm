package Gomd::Sealed;

# Sealed questions over UDP, for a program that has the cluster's key file: docs/wire.md.

use 5.036;

use Encode ();
use Errno qw(EINTR);
use Fcntl qw(O_NOFOLLOW O_RDONLY);
use Gomd::Error;
use Gomd::Socket;
use MIME::Base64 ();
use Socket qw(MSG_DONTWAIT SOCK_DGRAM getaddrinfo);
use Time::HiRes ();

our $VERSION = '0.1.0';

our $MAX_PACKET = 1200;
my $ROOM    = 256;
my $TRIES   = 3;
my ($QUESTION, $ANSWER, $SUMMARY) = (3, 4, 5);

# Load CryptX, which is not in Perl's core. Dies with a sentence where it is missing.
sub _crypto () {
    state $is_there = eval {
        require Crypt::AuthEnc::ChaCha20Poly1305;
        require Crypt::KeyDerivation;
        require Crypt::PRNG;
        1;
    };
    return if $is_there;
    return Gomd::Error::NotPossible->throw('sealed questions need CryptX: on Debian, apt install libcryptx-perl', 405);
}

sub new ($class, %options) {
    _crypto();
    my ($address, $port) = ($options{address} // '127.0.0.1', $options{port} // 5428);
    my ($error, @found) = getaddrinfo($address =~ s/\A\[(.*)\]\z/$1/r, $port, { socktype => SOCK_DGRAM });
    Gomd::Error::ConnectionLost->throw("$address: $error") if $error || !@found;
    my $self = bless {
        to => \@found, timeout => $options{timeout} // 3, salt => Crypt::PRNG::random_bytes(8), sequence => 0,
        instance => _random(52), secret => defined $options{secret} ? $options{secret} : _secret($options{key_file}),
    }, $class;
    my $datagram = _derived($self->{secret}, 'gomd/1 datagram', 32);
    $self->{datagram_key} = $datagram;
    $self->{key_id}       = _derived($self->{secret}, 'gomd/1 key id', 8);
    # One socket for each family: all addresses of a name are asked in turn.
    for my $family (map { $_->{family} } @found) {
        next if $self->{handles}{$family};
        socket $self->{handles}{$family}, $family, SOCK_DGRAM, 0 or delete $self->{handles}{$family};
    }
    $self->{to} = [grep { $self->{handles}{ $_->{family} } } @found];
    Gomd::Error::ConnectionLost->throw("no socket: $!") if !@{ $self->{to} };
    return $self;
}

sub _derived ($secret, $label, $length) { return Crypt::KeyDerivation::hkdf($secret, '', 'SHA256', $length, $label) }

sub _random ($bits) { return unpack('Q>', Crypt::PRNG::random_bytes(8)) >> (64 - $bits) }

sub _sender_key ($self, $salt) {
    return Crypt::KeyDerivation::hkdf_expand($self->{datagram_key}, 'SHA256', 32, "gomd/1 sender$salt");
}

# Return the secret in a key file, which nobody else may read.
sub _secret ($path) {
    Gomd::Error::MalformedRequest->throw('name the key file: key_file => PATH', 400) if !defined $path;
    sysopen my $file, $path, O_RDONLY | O_NOFOLLOW or Gomd::Error::NotAllowed->throw("key file $path: $!", 403);
    my @stat = stat $file;
    Gomd::Error::NotAllowed->throw("key file $path: others may read or change it: chmod 600 it", 403) if $stat[2] & 077;
    read $file, my ($text), 1024;
    my ($line) = ($text // '') =~ /\A\s*([A-Za-z0-9+\/]{43}=)\s*\z/;
    my $secret = defined $line ? MIME::Base64::decode_base64($line) : '';
    Gomd::Error::NotAllowed->throw("key file $path: it is no key: gom key new makes one", 403) if length $secret != 32;
    return $secret;
}

# Return a CBOR head: the major type and a number, in the shortest form.
sub _head ($major, $number) {
    my $type = $major << 5;
    return pack 'C', $type | $number             if $number < 24;
    return pack 'C C', $type | 24, $number       if $number < 1 << 8;
    return pack 'C n', $type | 25, $number       if $number < 1 << 16;
    return pack 'C N', $type | 26, $number       if $number < 1 << 32;
    return pack 'C Q>', $type | 27, $number;
}

# Return the body of a question for a path, or for a summary when that is empty, padded so that its packet has ROOM bytes.
sub question ($class, %say) {
    my @numbers = ($QUESTION, 0, @say{qw(instance sent_at sequence request_id)}, $say{node} // 0, $say{target} // 0);
    $numbers[1] = $say{sender} // 0;
    my $body = _head(4, 10) . join('', map { _head(0, $_) } @numbers) . _head(3, length $say{path}) . $say{path};
    my $need = ($say{room} // $ROOM) - 49 - length $body;
    my $pad = $need <= 0 ? 0 : $need <= 25 ? $need - ($need < 25) : $need <= 258 ? $need - 2 : $need - 3;
    return $body . _head(2, $pad) . "\0" x $pad;
}

# Return the values of a body, undef when it is none. Text and bytes are both strings of bytes here.
sub values_of ($class, $body) {
    my ($at, $end) = (0, length $body);
    my $next = sub ($nested) {
        return if $at >= $end;
        my $first = ord substr $body, $at++, 1;
        my ($major, $number) = ($first >> 5, $first & 31);
        if ($number >= 24) {
            my ($size, $form) = @{ { 24 => [1, 'C'], 25 => [2, 'n'], 26 => [4, 'N'], 27 => [8, 'Q>'] }->{$number} // return };
            return if $major == 7 || $at + $size > $end;
            $number = unpack $form, substr $body, $at, $size;
            $at += $size;
        }
        return [$number] if $major == 0;
        if ($major == 2 || $major == 3) {
            return if $number > $end - $at;
            my $bytes = substr $body, $at, $number;
            $at += $number;
            return [$bytes];
        }
        return [$number == 20 ? 0 : $number == 21 ? 1 : undef] if $major == 7 && $number >= 20 && $number <= 22;
        return $major == 4 && $nested ? [\$number] : undef;
    };
    my $count = $next->(1) // return;
    return if !ref $count->[0] || ${ $count->[0] } > 64;
    my @values;
    for (1 .. ${ $count->[0] }) {
        my $value = $next->(0) // return;
        push @values, $value->[0];
    }
    return $at == $end ? \@values : undef;
}

# Return the packet of a body.
sub seal ($self, $body, $nonce = Crypt::PRNG::random_bytes(12)) {
    my $header = "gomd\x01$self->{key_id}$self->{salt}$nonce";
    my ($sealed, $tag) = Crypt::AuthEnc::ChaCha20Poly1305::chacha20poly1305_encrypt_authenticate(
        $self->_sender_key($self->{salt}), $nonce, $header, $body);
    return "$header$sealed$tag";
}

# Return the body of a packet, undef when it is not sealed with this key.
sub open ($self, $packet) {
    return if length $packet > $MAX_PACKET || length $packet < 49 || substr($packet, 0, 13) ne "gomd\x01$self->{key_id}";
    my ($header, $salt, $nonce, $sealed, $tag) = unpack 'a33 X20 a8 a12 a' . (length($packet) - 49) . ' a16', $packet;
    return Crypt::AuthEnc::ChaCha20Poly1305::chacha20poly1305_decrypt_verify(
        $self->_sender_key($salt), $nonce, $header, $sealed, $tag);
}

# Ask for a path of the tree, for a summary when it is empty. Return the code and the bytes.
sub _ask ($self, $path, $room = $ROOM) {
    Gomd::Error::MalformedRequest->throw('a path is at most 256 printable bytes', 400)
        if length $path > 256 || $path =~ /[^\x21-\x7e]/;
    my $deadline = Gomd::Socket::now() + $self->{timeout};
    my $number   = _random(53);
    for my $try (1 .. $TRIES) {
        my $body = $self->question(
            instance => $self->{instance}, sent_at => int(1000 * Time::HiRes::time()), sequence => ++$self->{sequence},
            request_id => $number, path => $path, room => $room,
        );
        my $to = $self->{to}[($try - 1) % @{ $self->{to} }];
        send $self->{handles}{ $to->{family} }, $self->seal($body), 0, $to->{addr};    # one that is lost is asked again
        my $end = $try == $TRIES ? $deadline : Gomd::Socket::now() + $self->{timeout} / $TRIES;
        while (my $packet = $self->_received($end)) {
            my $opened = $self->open($packet) // next;
            my $found  = $self->values_of($opened) // next;
            next if @$found < 6 || grep { !defined } @$found[0, 5];
            next if $found->[5] ne $number;
            return (@$found[6, 8]) if $found->[0] == $ANSWER && @$found == 9;
            return (200, $found)   if $found->[0] == $SUMMARY && @$found == 18;
        }
    }
    return Gomd::Error::TimedOut->throw("no answer within $self->{timeout} seconds; is the key the cluster's?");
}

# Return a packet from where the question went, undef at the deadline.
sub _received ($self, $deadline) {
    while (1) {
        my $left = $deadline - Gomd::Socket::now();
        return if $left <= 0;
        my $bits = '';
        vec($bits, fileno $_, 1) = 1 for values %{ $self->{handles} };
        my $found = select $bits, undef, undef, Gomd::Socket::_bounded($left);
        next if $found <= 0;
        for my $handle (grep { vec $bits, fileno $_, 1 } values %{ $self->{handles} }) {
            my $from = recv $handle, my ($packet), $MAX_PACKET + 1, MSG_DONTWAIT;    # its checksum may have been wrong
            return $packet if defined $from && grep { $from eq $_->{addr} } @{ $self->{to} };
        }
    }
}

sub get ($self, $path) {
    my ($code, $bytes) = $self->_ask($path, $MAX_PACKET);
    Gomd::Error->refused($code, Encode::decode('UTF-8', $bytes)) if $code != 200;
    return $bytes;
}

sub get_cur_node ($self, $pid) {
    Gomd::Error::MalformedRequest->throw('a PID is a whole number', 400) if $pid !~ /\A[0-9]{1,10}\z/;
    my ($code, $bytes) = $self->_ask("/proc/$pid/where");
    Gomd::Error->refused($code, Encode::decode('UTF-8', $bytes)) if $code != 200;
    my ($node) = $bytes =~ /\A\s*([0-9]{1,5})\s*\z/ or Gomd::Error::MalformedReply->throw('where is no number');
    return 0 + $node if $node;
    my (undef, $summary) = $self->_ask('');
    return $summary->[6];
}

1;

__END__

=encoding utf8

=head1 NAME

Gomd::Sealed - questions over UDP, for programs that have the cluster's key

=head1 SYNOPSIS

    use Gomd::Sealed;
    my $alpha = Gomd::Sealed->new(key_file => '/etc/gomd/key', address => '10.0.0.1');
    say 'process 4711 of alpha runs on node ', $alpha->get_cur_node(4711);

=head1 DESCRIPTION

One packet there and one back, both sealed with ChaCha20-Poly1305 (docs/wire.md): the quickest way to ask a node for one value,
for a program that may read the key file. It needs CryptX (on Debian libcryptx-perl). A question that is not answered is asked
again under a new seal, three times within the timeout. Errors are L<Gomd::Error>s.

=over

=item Gomd::Sealed->new(key_file => PATH, address => HOST, port => 5428, timeout => SECONDS)

Address the node at this IPv4 or IPv6 address, or at the addresses of this name. The timeout is 3 seconds unless said.

=item get_cur_node(PID)

Return the id of the node on which the process of that home node runs now.

=item get(PATH)

Return the bytes of a file of the tree, the first 1,099 of them.

=back

=cut
