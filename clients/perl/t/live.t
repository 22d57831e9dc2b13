use 5.036;
use Test::More;
use FindBin ();
use lib "$FindBin::Bin/../lib";
use Time::HiRes qw(sleep);

use Gomd::Client;

# A conversation with a real daemon, which the endpoint in the environment names; it is that of the user who runs this.
plan skip_all => 'GOMD_ENDPOINT names no daemon' if !$ENV{GOMD_ENDPOINT};

my $gomd = Gomd::Client->connect(timeout => 20);

sub dies_as ($kind, $code, $name, $try) {
    eval { $try->(); 1 } and return fail("$name: it did not die");
    my $error = $@;
    isa_ok($error, "Gomd::Error::$kind", $name) or diag $error;
    is($error->code, $code, "$name: code");
    like("$error", qr/\w \w/, "$name: a sentence");
    return;
}

# -- every verb that reads
my ($here) = $gomd->node;
is($here->{id}, 1, 'node is a row of this node');
is((grep { $_->{up} } $gomd->nodes), 1, 'one node is up');
for my $verb (qw(load speed cpus util)) {
    like($gomd->$verb, qr/\A[0-9]+\z/, "$verb is a number");
}
is($gomd->load(1) >= 0, 1, 'of a node by its id');
cmp_ok($gomd->mem->{tmem}, '>', 1e6, 'mem is bytes');
like($gomd->status->{words}, qr/up/, 'status has words');
is($gomd->whoami->{uid}, $>, 'the kernel says who asks');
like($gomd->version->{version}, qr/\A[0-9]+\./, 'version');
my @all = $gomd->ps;
my ($own) = $gomd->ps($$);
is($own->{pid}, $$, 'ps PID is this process');
is($gomd->ps({ top => 3, sort => 'rss', fields => ['pid', 'rss'] }), 3, 'ps selects');
is(join(',', sort keys %{ ($gomd->ps({ top => 1, fields => ['pid', 'rss'] }))[0] }), 'pid,rss', 'and only these fields');
cmp_ok(scalar(grep { $_->{name} eq 'telnet_requests' } $gomd->stats), '==', 1, 'stats');
is($gomd->where($$), 1, 'where');
is($gomd->get_cur_node(1, $$), 1, 'getCurNode of the first plan');
like($gomd->get('/proc/loadavg')->{text}, qr/\A[0-9.]+ /, 'get');
ok((grep { $_->{name} eq 'loadavg' } $gomd->ls('/proc')), 'ls');
ok($gomd->help > 40, 'help'); ok($gomd->measures > 3, 'measures'); ok(defined $gomd->events, 'events');
is(ref(($gomd->map)[0]), 'HASH', 'map');

# -- refusals
dies_as(NotFound => 404, 'a process that is not there', sub { $gomd->where(4_000_000) });
dies_as(NotFound => 404, 'a node that is not there', sub { $gomd->load('nobody') });
dies_as(MalformedRequest => 400, 'a verb that is none', sub { $gomd->call('frobnicate') });
dies_as(MalformedRequest => 400, 'control characters', sub { $gomd->get("/proc/\nload") });
is($gomd->load >= 0, 1, 'the connection goes on after a refusal');

# -- watches
my $watch = $gomd->watch('ps', { top => 2, period => 0.1, count => 2 });
my $first = $watch->next(20);
is(scalar @{ $first->{rows} }, 2, 'a round has its rows');
my $second = $watch->next(20);
is($second->{round}, $first->{round} + 1, 'the next round is the next');
is($watch->next(20), undef, 'it ends');
ok(!$watch->is_open, 'and says so');
$watch = $gomd->watch('load', { node => 'all', period => 0.1 });
is($watch->next(20)->{rows}[0]{from}, 1, 'a watch of all nodes says whose row it is');
$watch->close;
$watch = $gomd->watch('events');
is($watch->next(0.01), undef, 'nothing happens');
ok($watch->is_open, 'and the watch goes on');

# -- jobs
my $job = $gomd->run(['sh', '-c', 'read line; echo "got $line"; echo oops >&2; exit 7']);
my ($out, $err) = $job->communicate("hello\n", 30);
is_deeply([$out, $err, $job->wait, $job->status], ["got hello\n", "oops\n", 7, 7], 'streams and status of a job');
my $bytes = join '', map { chr $_ % 251 } 1 .. 5_000_000;
($out) = $gomd->run(['cat'])->communicate($bytes, 120);
ok($out eq $bytes, '5 MB there and back');
$job = $gomd->run(['cat'], { env => { PATH => $ENV{PATH}, ODD => "\xff\xfe" }, cwd => '/' });
$job->write("one\n");
is_deeply([$job->read(30)], ['stdout', "one\n"], 'a conversation');
$job->signal('TERM');
is($job->wait(30), 128 + 15, 'a signal ends it');
($out) = $gomd->run(['sh', '-c', 'printf %s "$ODD" | od -An -tx1'], { env => { PATH => $ENV{PATH}, ODD => "\xff\xfe\xc3\xa9" } })
    ->communicate('', 30);
is($out, " ff fe c3 a9\n", 'the environment is bytes');
dies_as(NotFound => 127, 'a command that is not there', sub { $gomd->run(['/nothing/here']) });
dies_as(MalformedRequest => 400, 'one text is no command', sub { $gomd->run('ls /') });
dies_as(MalformedRequest => 400, 'an option that is none', sub { $gomd->run(['true'], { fast => 1 }) });
$job = $gomd->run(['sh', '-c', 'echo kept; sleep 0.3; exit 4'], { detach => 1 });
ok($job->detached, 'a detached job');
my $later = $gomd->attach($job->number);
is_deeply([$later->communicate('', 30), $later->status], ["kept\n", '', 4], 'attach has its output and its status');
$job = $gomd->run(['sleep', '60']);
eval { $job->wait(0.05) };
isa_ok($@, 'Gomd::Error::TimedOut', 'waiting has a limit');
{
    # EINTR: signals that arrive while it waits change nothing.
    my $count = 0;
    local $SIG{ALRM} = sub { $count++ };
    Time::HiRes::setitimer(Time::HiRes::ITIMER_REAL(), 0.01, 0.01);
    my ($text) = $gomd->run(['sh', '-c', 'sleep 0.3; echo through'])->communicate('', 30);
    Time::HiRes::setitimer(Time::HiRes::ITIMER_REAL(), 0);
    is($text, "through\n", 'interrupted system calls are begun again');
    cmp_ok($count, '>', 5, 'they were interrupted');
}
$job->kill;
is($job->wait(30), 137, 'kill');

# -- a process after fork must connect for itself
my $child = open my $pipe, '-|';
if (!$child) {
    eval { $gomd->load };
    print ref $@;
    require POSIX;
    close STDOUT;
    POSIX::_exit(0);
}
is(scalar readline $pipe, 'Gomd::Error::ConnectionLost', 'a handle is not shared with a child');
close $pipe;
is($gomd->load >= 0, 1, 'and goes on in its parent');
$gomd->close;
dies_as(ConnectionLost => 0, 'a closed connection', sub { $gomd->load });
done_testing();
