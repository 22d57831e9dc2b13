package Gomd::Frames;

# The frames of a job's streams: one byte kind, four bytes length, payload. No I/O.

use 5.036;

use Gomd::Error;
use JSON::PP ();

our $VERSION = '0.1.0';

our %KIND = (
    SPEC => 1, ATTACH => 2, STDIN => 3, STDIN_END => 4, SIGNAL => 5, WINSIZE => 6, HANGUP => 7, COLLECTED => 8, ACK => 9,
    STARTED => 16, ATTACHED => 17, STDOUT => 18, STDERR => 19, EXIT => 20, FAILED => 21, RESUME => 22,
);
our $MAX_PAYLOAD = 1024 * 1024;
our $MAX_SPEC    = 16 * 1024 * 1024;
my %FROM_JOB = map { $KIND{$_} => 1 } qw(ACK STARTED ATTACHED STDOUT STDERR EXIT FAILED RESUME);
my $JSON = JSON::PP->new->ascii->canonical->allow_nonref;

sub new ($class, $kinds = \%FROM_JOB) { return bless { rest => '', kinds => $kinds }, $class }

# Return the bytes of a frame.
sub frame ($class, $kind, $payload = '') { return pack 'C N/a*', $KIND{$kind}, $payload }

# Return the bytes of a frame with a JSON object.
sub json ($class, $kind, $value) { return $class->frame($kind, $JSON->encode($value)) }

# Return the bytes of an acknowledgement: everything of a stream before a position was passed on.
sub acknowledgement ($class, $stream, $position) { return $class->frame('ACK', pack 'C Q>', $KIND{$stream}, $position) }

# Take bytes, return the frames that are complete with them, each [KIND, PAYLOAD]; KIND is a number.
sub feed ($self, $bytes) {
    $self->{rest} .= $bytes;
    my ($at, @found) = (0);
    my $length_of_rest = length $self->{rest};
    while ($length_of_rest - $at >= 5) {
        my ($kind, $length) = unpack 'C N', substr $self->{rest}, $at, 5;
        Gomd::Error::MalformedReply->throw("no frame: kind $kind, $length bytes")
            if !$self->{kinds}{$kind} || $length > $MAX_PAYLOAD;
        last if $length_of_rest < $at + 5 + $length;
        push @found, [$kind, substr $self->{rest}, $at + 5, $length];
        $at += 5 + $length;
    }
    substr $self->{rest}, 0, $at, '' if $at;
    return @found;
}

# Return the object in a payload.
sub object ($class, $payload) {
    my $value = eval { $JSON->decode($payload) };
    Gomd::Error::MalformedReply->throw('a frame that holds no JSON object') if ref $value ne 'HASH';
    return $value;
}

# Return a whole number of an object, undef when it is null or not there. Dies when it is something else.
sub optional ($class, $object, $name) {
    my $value = $object->{$name} // return;
    Gomd::Error::MalformedReply->throw("$name in a frame is no whole number") if ref $value || $value !~ /\A-?[0-9]{1,18}\z/;
    return $value;
}

# Return a whole number of an object. Dies when there is none.
sub number ($class, $object, $name) {
    return $class->optional($object, $name) // Gomd::Error::MalformedReply->throw("a frame without its number $name");
}

1;
