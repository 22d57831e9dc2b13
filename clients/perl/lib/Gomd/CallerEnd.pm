package Gomd::CallerEnd;

# The caller's end of a job's three streams, as docs/wire.md has it. No I/O: frames in, events and bytes out.

use 5.036;

use Gomd::Error;
use Gomd::Frames;
use List::Util qw(max min);

our $VERSION = '0.1.0';

our $WINDOW = 1024 * 1024;
my $PIECE  = 65_536;
my %KIND   = %Gomd::Frames::KIND;
my %STREAM = ($KIND{STDOUT} => 'stdout', $KIND{STDERR} => 'stderr');

# :param window: bytes of a stream that may be under way. :param serial: the number before that of the first ATTACH.
# :param stops: whether to ask to be told that the job stops.
sub new ($class, %options) {
    my $self = bless {
        window => $options{window} // $WINDOW, asked => $options{serial} // 0, stops => $options{stops} // 0,
        outputs => { map { $_ => { received => 0, taken => 0, told => 0, start => 0 } } values %STREAM },
        attached => 0, input_ended => 0, end_sent => 0, out => '',
    }, $class;
    $self->_begin_input_at(0);
    return $self;
}

sub _begin_input_at ($self, $position) {
    $self->{input} = { base => $position, sent => $position, taken => $position, kept => '' };
    return;
}

sub is_attached ($self) { return $self->{attached} }
sub exited      ($self) { return $self->{exited} }
sub input_ended ($self) { return $self->{input_ended} }

# Return the bytes to send now, and forget them.
sub data_to_send ($self) {
    my $out = $self->{out};
    $self->{out} = '';
    return $out;
}

sub connection_replaced ($self) {
    $self->{out} = '';
    $self->{attached} = 0;
    return;
}

sub wants_stops ($self) { $self->{stops} = 1; return }

# Ask for the streams from where this end is.
sub attach ($self) {
    $self->{attached} = 0;
    $self->{asked}++;
    my %wanted = (n => 0 + $self->{asked}, map { $_ => 0 + $self->{outputs}{$_}{received} } values %STREAM);
    $wanted{stops} = \1 if $self->{stops};
    $self->{out} .= Gomd::Frames->json(ATTACH => \%wanted);
    return;
}

# Return how many bytes of input may be given to `input` now.
sub input_room ($self) {
    return 0 if !$self->{attached} || $self->{input_ended} || $self->{exited};
    my $input = $self->{input};
    return max(0, $self->{window} - ($self->_input_end - $input->{taken}));
}

sub _input_end ($self) { return $self->{input}{base} + length $self->{input}{kept} }

sub input ($self, $bytes) {
    $self->{input}{kept} .= $bytes;
    $self->_send_input;
    return;
}

sub end_input ($self) {
    $self->{input_ended} = 1;
    $self->_send_input;
    return;
}

sub _send_input ($self) {
    return if !$self->{attached};
    my $input = $self->{input};
    while (1) {
        my $length = min($PIECE, $self->_input_end - $input->{sent}, $input->{taken} + $self->{window} - $input->{sent});
        last if $length <= 0;
        $self->{out} .= Gomd::Frames->frame(STDIN => substr $input->{kept}, $input->{sent} - $input->{base}, $length);
        $input->{sent} += $length;
    }
    if ($self->{input_ended} && !$self->{end_sent} && $input->{sent} == $self->_input_end) {
        $self->{end_sent} = 1;
        $self->{out} .= Gomd::Frames->frame('STDIN_END');
    }
    return;
}

sub _forget_input_before ($self, $position) {
    my $input = $self->{input};
    return if $position <= $input->{base};
    substr $input->{kept}, 0, $position - $input->{base}, '';
    $input->{base} = $position;
    return;
}

# Count bytes of an output as passed on, and acknowledge them.
sub passed_on ($self, $stream, $size) {
    my $output = $self->{outputs}{$stream};
    $output->{taken} = min($output->{taken} + $size, $output->{received});
    $self->_acknowledge($stream);
    return;
}

sub _acknowledge ($self, $stream) {
    my $output = $self->{outputs}{$stream};
    return if !$self->{attached} || $self->{exited} || $output->{told} == $output->{taken};
    $output->{told} = $output->{taken};
    $output->{start} = max($output->{start}, $output->{taken});
    $self->{out} .= Gomd::Frames->acknowledgement(uc $stream, $output->{taken});
    return;
}

sub signal ($self, $number, $group = 1) {
    $self->{out} .= Gomd::Frames->frame(SIGNAL => pack 'C C', $number, $group ? 1 : 0) if $self->{attached};
    return;
}

sub set_size ($self, $rows, $columns) {
    $self->{out} .= Gomd::Frames->frame(WINSIZE => pack 'n n', $rows, $columns) if $self->{attached};
    return;
}

sub hang_up ($self) { $self->{out} .= Gomd::Frames->frame('HANGUP'); return }

# The exit status has arrived: this is all that is sent.
sub collected ($self) {
    $self->{out} = Gomd::Frames->frame('COLLECTED');
    return;
}

# Take a frame and return what it means, undef for nothing: [started => {...}], [attached => {stdout => LOST, ...}, STOP],
# [data => STREAM, BYTES], [taken => POSITION], [exited => STATUS, REASON, SIGNAL]. Dies when the job could not be started.
sub receive ($self, $kind, $payload) {
    return $self->_output($STREAM{$kind}, $payload) if $STREAM{$kind};
    return $self->_acknowledged($payload)           if $kind == $KIND{ACK};
    if ($kind == $KIND{RESUME}) {
        $self->attach;
        return;
    }
    my $told = Gomd::Frames->object($payload);
    if ($kind == $KIND{STARTED}) {
        my %facts = map { $_ => scalar Gomd::Frames->optional($told, $_) } qw(job home node pid);
        return [started => { %facts, detached => $told->{detached} ? 1 : 0, tty => $told->{tty} ? 1 : 0 }];
    }
    return $self->_exit($told) if $kind == $KIND{EXIT};
    if ($kind == $KIND{FAILED}) {
        my $text = ref $told->{text} ? '' : $told->{text} // '';
        Gomd::Error->refused(Gomd::Frames->optional($told, 'code') // 500, $text ne '' ? $text : 'the job could not be started');
    }
    return $self->_attached($told) if $kind == $KIND{ATTACHED};
    return Gomd::Error::MalformedReply->throw("a frame of kind $kind is not for a caller");
}

sub _output ($self, $stream, $bytes) {
    return if !$self->{attached} || $self->{exited};
    my $output = $self->{outputs}{$stream};
    Gomd::Error::MalformedReply->throw('more output than the window allows')
        if $output->{received} + length($bytes) - $output->{start} > $self->{window};
    $output->{received} += length $bytes;
    return [data => $stream, $bytes];
}

sub _acknowledged ($self, $payload) {
    Gomd::Error::MalformedReply->throw('an acknowledgement that is none') if length $payload != 9;
    my ($stream, $position) = unpack 'C Q>', $payload;
    my $input = $self->{input};
    return if $stream != $KIND{STDIN} || !$self->{attached};
    return if $position <= $input->{taken} || $position > $input->{sent};
    $input->{taken} = $position;
    $self->_forget_input_before($position);
    $self->_send_input;
    return [taken => $position];
}

sub _exit ($self, $told) {
    return if !$self->{attached} && !$told->{lost};
    my $status = Gomd::Frames->number($told, 'exit');
    my $reason = ref $told->{reason} ? '' : $told->{reason} // '';
    $self->{exited} = [$status, $reason, Gomd::Frames->optional($told, 'signal') // 0];
    return [exited => @{ $self->{exited} }];
}

sub _attached ($self, $told) {
    return if (Gomd::Frames->optional($told, 'n') // -1) != $self->{asked};
    $self->{attached} = 1;
    my %lost;
    for my $stream (sort values %STREAM) {
        my ($position, $output) = (Gomd::Frames->number($told, $stream), $self->{outputs}{$stream});
        my $held = $output->{received} - $output->{taken};
        $lost{$stream} = max(0, $position - $output->{received});
        @$output{qw(received start)} = ($position, $position);
        $output->{taken} = $output->{told} = max(0, $position - $held);
    }
    my ($received, $taken) = (Gomd::Frames->number($told, 'stdin'), Gomd::Frames->optional($told, 'stdin_taken'));
    $self->_begin_input_at($received) if $received > $self->_input_end;
    my $input = $self->{input};
    my $start = min(max($received, $input->{base}), $self->_input_end);
    $self->_forget_input_before($start);
    $input->{sent} = $start;
    $input->{taken} = defined $taken ? min(max($taken, 0), $start) : $start;
    if ($told->{stdin_ended}) {
        $self->{input_ended} = $self->{end_sent} = 1;
    } else {
        $self->{end_sent} = 0;
        $self->_send_input;
    }
    return [attached => \%lost, Gomd::Frames->optional($told, 'stopped')];
}

1;
