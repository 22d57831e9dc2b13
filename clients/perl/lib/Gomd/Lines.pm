package Gomd::Lines;

# Requests as lines, and bytes as lines of replies. No I/O.

use 5.036;

use Encode ();
use Gomd::Error;

our $VERSION = '0.1.0';

# Bytes that one line of a reply may have; a longer one is no line of gomd's.
our $MAX_LINE = 16 * 1024 * 1024;
# Bytes that a daemon takes as one request, unless its [telnet] max_line says otherwise.
my $MAX_REQUEST = 65_536;

sub new ($class) { return bless { rest => '', searched => 0, in_block => 0 }, $class }

# Return the bytes of a request.
sub request ($class, $verb, $arguments = [], $node = '') {
    my @words = (($node ne '' ? "\@$node" : ()), $verb, @$arguments);
    my $line = join ' ', map { _quoted($_) } @words;
    Gomd::Error::MalformedRequest->throw('a word of a request is text without control characters', 400)
        if $line =~ /[\x00-\x1f\x7f]/;
    my $bytes = Encode::encode('UTF-8', $line);
    Gomd::Error::MalformedRequest->throw('the request is longer than a line may be', 413) if length $bytes > $MAX_REQUEST;
    return "$bytes\r\n";
}

sub _quoted ($word) {
    Gomd::Error::MalformedRequest->throw('a word of a request is not defined', 400) if !defined $word || ref $word;
    return $word if $word =~ m{\A[\w\@%+=:,./\[\]&!-]+\z}a;
    return q(') . ($word =~ s/'/'"'"'/gr) . q(');
}

# Take bytes of the connection.
sub feed ($self, $bytes) {
    $self->{rest} .= $bytes;
    return;
}

# Return the next line as text without its end, undef when it has not come whole.
sub _line ($self) {
    my $end = index $self->{rest}, "\n", $self->{searched};
    if ($end < 0) {
        $self->{searched} = length $self->{rest};
        $self->_wrong('a line that does not end') if $self->{searched} > $MAX_LINE;
        return;
    }
    my $bytes = substr $self->{rest}, 0, $end + 1, '';
    $self->{searched} = 0;
    $bytes =~ s/\r?\n\z//;
    my $text = eval { Encode::decode('UTF-8', $bytes, Encode::FB_CROAK) };
    $self->_wrong('a line that is no text') if !defined $text || $text =~ /[\x00-\x08\x0a-\x1f\x7f]/;
    return $text;
}

# Return the next thing in the bytes so far, undef when there is none yet: [status => CODE, TEXT], [line => TEXT],
# ['end'] of a block, or [error => CODE, TEXT], which stands for the end of a block that could not be completed.
# Behind a 202 the rest of the bytes is not looked at: see `rest`.
sub next ($self) {
    my $line = $self->_line // return;
    if (!$self->{in_block}) {
        my ($code, $text) = $line =~ /\A([2-5][0-9][0-9])(?: (.*))?\z/s or $self->_wrong('no status line');
        $self->{in_block} = $code == 201;
        return [status => 0 + $code, $text // ''];
    }
    if (defined $self->{failure}) {
        $self->_wrong('something behind the failure of a block') if $line ne '.';
        $self->{in_block} = 0;
        return [error => @{ delete $self->{failure} }];
    }
    if ($line eq '.') {
        $self->{in_block} = 0;
        return ['end'];
    }
    if ($line =~ /\A! ([45][0-9][0-9]) (.*)\z/s) {
        $self->{failure} = [0 + $1, $2];
        return $self->next;
    }
    return [line => $line =~ s/\A\.//r];
}

# Whether all bytes have been looked at.
sub is_empty ($self) { return ($self->{rest} // '') eq '' }

# Whether a row is not one, but says why the block or the watch could not go on: {"code": CODE, "error": TEXT}.
sub is_failure ($class, $row) {
    return ref $row eq 'HASH' && keys %$row == 2 && defined $row->{error} && ($row->{code} // '') =~ /\A[45][0-9][0-9]\z/;
}

# Return the bytes that have not been looked at, and forget them: what follows a 202.
sub rest ($self) {
    $self->{searched} = 0;
    return delete($self->{rest}) // '';
}

# Return the bytes that a text with \xNN stands for.
sub original ($class, $text) {
    my $bytes = Encode::encode('UTF-8', $text);
    return $bytes =~ s/\\x([0-9a-f]{2})/chr hex $1/ger;
}

sub _wrong ($self, $what) { return Gomd::Error::MalformedReply->throw("this is not gomd's line: $what") }

1;
