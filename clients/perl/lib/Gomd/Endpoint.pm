package Gomd::Endpoint;

# Where a daemon may be, as text: tcp:HOST:PORT or unix:PATH; and where to look when nothing is named.

use 5.036;

use Gomd::Error;

our $VERSION = '0.1.0';

our $PORT          = 2901;
our $ROOT_STATE    = '/var/lib/gomd';
our $PUBLIC_SOCKET = '/run/gomd/gomd.sock';

# The verbs that only read and hold nothing secret. Others are not sent to a tcp port that was found by default.
my %QUESTION = map { $_ => 1 } qw(
    help version whoami format quit stats nodes node load speed mem util cpus status map ls get ps where watch events
    doctor history busiest measures switches
);

# Return the endpoint that a text names. Dies when it names none.
sub parse ($class, $text) {
    return bless { text => $text, path => $1, found => 0 }, $class if $text =~ /\Aunix:([^\0]+)\z/;
    if ($text =~ /\Atcp:(?:\[([^\[\]]+)\]|([^:\[\]]+)):([0-9]{1,5})\z/ && $3 > 0 && $3 < 65_536) {
        return bless { text => $text, host => $1 // $2, port => 0 + $3, found => 0 }, $class;
    }
    return Gomd::Error::MalformedRequest->throw(
        "'$text' is no endpoint: write tcp:HOST:PORT or unix:PATH, for example tcp:127.0.0.1:$PORT", 400);
}

# Return the endpoints at which this user looks for a daemon. $GOMD_ENDPOINT is the only one when it is set.
sub defaults ($class) {
    return $class->parse($ENV{GOMD_ENDPOINT}) if ($ENV{GOMD_ENDPOINT} // '') ne '';
    my @places = ('unix:' . _state() . '/gomd.sock', ($> == 0 ? () : "unix:$PUBLIC_SOCKET"), "tcp:127.0.0.1:$PORT");
    my @found = map { $class->parse($_) } @places;
    $_->{found} = 1 for @found;
    return @found;
}

sub _state () {
    return $ROOT_STATE if $> == 0;
    my $base = $ENV{XDG_STATE_HOME} // '';
    my $home = $ENV{HOME} || (getpwuid $>)[7] || '/';
    return ($base =~ m{\A/} ? $base : "$home/.local/state") . '/gomd';
}

sub text ($self) { return $self->{text} }
sub path ($self) { return $self->{path} }
sub host ($self) { return $self->{host} }
sub port ($self) { return $self->{port} }

# Return why a unix socket that was found by default must not be trusted, '' when it may be.
sub objection ($self, $socket) {
    return '' if !$self->{found} || !defined $self->{path};
    my $credentials = getsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_PEERCRED()) // return "whose it is, is not known: $!";
    my %owner = ('the program that listens there' => (unpack 'i3', $credentials)[1]);
    my ($directory) = $self->{path} =~ m{\A(.*)/[^/]*\z};
    my @places = (['the socket', $self->{path}], ['its directory', ($directory // '.') eq '' ? '/' : $directory // '.']);
    for my $place (@places) {
        my @stat = stat $place->[1] or return "$!";
        $owner{ $place->[0] } = $stat[4];
    }
    for my $what (sort keys %owner) {
        return "$what is user $owner{$what}'s, neither root's nor yours" if $owner{$what} != 0 && $owner{$what} != $>;
    }
    return '';
}

# Die when a request must not be sent to this endpoint, where any program may listen.
sub check ($self, $verb, @words) {
    return if !$self->{found} || defined $self->{path};
    if (lc $verb eq 'watch') {
        while (@words > 1 && $words[0] =~ /\A(?:-[nc]|\@.*)\z/) {
            splice @words, 0, $words[0] =~ /\A-/ ? 2 : 1;
        }
        $verb = $words[0] // $verb;
    }
    return if $QUESTION{ lc $verb };
    return Gomd::Error::Unproven->throw("'$verb' is not sent to $self->{text}, where any program may listen: start gomd, or "
            . 'name the endpoint of your daemon, in $GOMD_ENDPOINT for example');
}

1;
