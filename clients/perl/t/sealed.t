use 5.036;
use Test::More;
use FindBin ();
use lib "$FindBin::Bin/../lib";
use JSON::PP ();

use Gomd::Sealed;

plan skip_all => 'CryptX is not there: on Debian, apt install libcryptx-perl'
    if !eval { require Crypt::AuthEnc::ChaCha20Poly1305; 1 };

my $DATA = $ENV{GOMD_VECTORS} // "$FindBin::Bin/../../../tests/data";
plan skip_all => 'the vectors are part of the source of gomd: GOMD_VECTORS says where they are' if !-d $DATA && !$ENV{GOMD_VECTORS};

sub vectors ($name) {
    open my $file, '<:raw', "$DATA/$name" or die "$DATA/$name: $!";
    local $/ = undef;
    return @{ JSON::PP->new->decode(scalar readline $file) };
}

my ($keys) = vectors('wire/keys.json');
my $sealed = Gomd::Sealed->new(secret => pack 'H*', $keys->{secret});
is(unpack('H*', $sealed->{key_id}),                              $keys->{key_id},     'key id');
is(unpack('H*', $sealed->{datagram_key}),                        $keys->{datagram},   'datagram key');
is(unpack('H*', $sealed->_sender_key(pack 'H*', $keys->{salt})), $keys->{sender_key}, 'sender key');

for my $vector (vectors('wire/packets.json')) {
    my $end = Gomd::Sealed->new(secret => pack 'H*', $vector->{secret});
    my ($packet, $body) = map { pack 'H*', $vector->{$_} } qw(packet body);
    is(unpack('H*', $end->open($packet) // ''), $vector->{body}, "$vector->{name}: opened");
    $end->{salt} = pack 'H*', $vector->{salt};
    is(unpack('H*', $end->seal($body, pack 'H*', $vector->{nonce})), $vector->{packet}, "$vector->{name}: sealed");
    my ($datagram, $message) = ($vector->{datagram}, $vector->{datagram}{message});
    next if $message->{kind} ne 'Question';
    my $made = $end->question(
        (map { $_ => $datagram->{$_} } qw(sender instance sent_at sequence)),
        (map { $_ => $message->{$_} } qw(request_id path node target room)),
    );
    is(unpack('H*', $made), $vector->{body}, "$vector->{name}: made");
}

for my $vector (vectors('wire/bad.json')) {
    my $body = $sealed->open(pack 'H*', $vector->{packet});
    if ($vector->{error} eq 'body') { ok(defined $body,  "bad: $vector->{name}: it is sealed") }
    else                            { ok(!defined $body, "bad: $vector->{name}: it is not opened") }
}

# Any bytes: no warning, no death.
{
    local $SIG{__WARN__} = sub { fail("warns: $_[0]") };
    for my $seed (1 .. 2000) {
        srand $seed;
        my $bytes = join '', map { chr int rand 256 } 1 .. int rand 80;
        eval { $sealed->open("gomd\x01$sealed->{key_id}$bytes"); $sealed->values_of($bytes); 1 } or fail("dies of $seed: $@");
    }
    pass('any bytes are opened or not, without a word');
}
done_testing();
