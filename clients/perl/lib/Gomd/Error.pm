package Gomd::Error;

use 5.036;

our $VERSION = '0.1.0';

use overload '""' => sub ($self, @) { $self->{text} }, 'bool' => sub ($self, @) { 1 }, fallback => 1;

# The classes of refusals, by the code of the line (docs/line.md).
my %CLASS = (
    400 => 'MalformedRequest', 401 => 'NotAllowed', 403 => 'NotAllowed', 404 => 'NotFound', 405 => 'NotPossible',
    409 => 'Conflict', 413 => 'MalformedRequest', 429 => 'Busy', 500 => 'Internal', 502 => 'NodeUnreachable',
    504 => 'NodeTimedOut', 126 => 'NotPossible', 127 => 'NotFound',
);

sub new ($class, $text, $code = 0) { return bless { text => $text, code => $code }, $class }

sub throw ($class, $text, $code = 0) { die $class->new($text, $code) }

# Die of what a daemon has refused with CODE TEXT.
sub refused ($class, $code, $text) {
    my $kind = $CLASS{$code} // ($code >= 500 ? 'Internal' : 'Refused');
    $text =~ s/[\x00-\x1f\x7f-\x9f]/?/g;    # what a terminal would obey
    return "Gomd::Error::$kind"->throw($text ne '' ? $text : "refused with code $code", $code);
}

sub text ($self) { return $self->{text} }
sub code ($self) { return $self->{code} }

package Gomd::Error::Refused          { our @ISA = ('Gomd::Error') }
package Gomd::Error::MalformedRequest { our @ISA = ('Gomd::Error::Refused') }
package Gomd::Error::NotAllowed       { our @ISA = ('Gomd::Error::Refused') }
package Gomd::Error::NotFound         { our @ISA = ('Gomd::Error::Refused') }
package Gomd::Error::NotPossible      { our @ISA = ('Gomd::Error::Refused') }
package Gomd::Error::Conflict         { our @ISA = ('Gomd::Error::Refused') }
package Gomd::Error::Busy             { our @ISA = ('Gomd::Error::Refused') }
package Gomd::Error::Internal         { our @ISA = ('Gomd::Error') }
package Gomd::Error::NodeUnreachable  { our @ISA = ('Gomd::Error') }
package Gomd::Error::NodeTimedOut     { our @ISA = ('Gomd::Error') }
package Gomd::Error::ConnectionLost   { our @ISA = ('Gomd::Error') }
package Gomd::Error::TimedOut         { our @ISA = ('Gomd::Error') }
package Gomd::Error::MalformedReply   { our @ISA = ('Gomd::Error') }
package Gomd::Error::Unproven         { our @ISA = ('Gomd::Error') }

1;

__END__

=encoding utf8

=head1 NAME

Gomd::Error - what can go wrong when a program asks gomd

=head1 SYNOPSIS

    use Gomd::Client;
    my $load = eval { Gomd::Client->connect->load('beta') };
    if (my $error = $@) {
        die $error unless ref $error && $error->isa('Gomd::Error');
        warn "$error\n" if $error->code == 404;
    }

=head1 DESCRIPTION

Every error of this library is an object of one of these classes. As a string it is one sentence that says what happened;
C<code> is the code of the line when the daemon has refused (docs/line.md of gomd has them all), otherwise 0.

=over

=item Gomd::Error::Refused

The daemon has refused. One of C<MalformedRequest> (400, 413), C<NotAllowed> (401, 403), C<NotFound> (404), C<NotPossible>
(405), C<Conflict> (409) and C<Busy> (429), or C<Refused> itself for a code that this library does not know.

=item Gomd::Error::Internal, Gomd::Error::NodeUnreachable, Gomd::Error::NodeTimedOut

The node failed (500), cannot be reached (502), or did not answer the daemon in time (504).

=item Gomd::Error::ConnectionLost

There is no daemon, or it has closed the connection.

=item Gomd::Error::TimedOut

The daemon did not answer in time. The connection is closed, so that a late answer is never taken for another one.

=item Gomd::Error::MalformedReply

What listens there does not speak gomd's language. The connection is closed.

=item Gomd::Error::Unproven

The request would have gone to an endpoint that was found by default, where any program may listen. Nothing was sent.

=back

=cut
