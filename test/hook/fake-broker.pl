#!/usr/bin/perl
# SPDX-License-Identifier: MPL-2.0
# fake-broker.pl SOCKET LOG MODE: a stand-in for pubaddr-brokerd that misbehaves on request, for the tests of the Kea hook.
# Appends every line that it receives to LOG,
# and "connected" for each connection. MODE: grant (result 0), refuse (result 3), silent (reads, never answers),
# nonsense (answers with what is not JSON).
use strict;
use warnings;
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;

my ($path, $log_path, $mode) = @ARGV;
die "usage: fake-broker.pl SOCKET LOG grant|refuse|silent|nonsense\n" unless defined $mode;
# A grant's first byte and some others that a DHCP client must hand over unchanged.
my $grant = '01' . '00ff0a7f' x 20;

$SIG{PIPE} = 'IGNORE';
unlink $path;
my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 16) or die "$path: $!\n";
open(my $log, '>>', $log_path) or die "$log_path: $!\n";
$log->autoflush(1);
my $select = IO::Select->new($listener);
my %pending;

sub answer {
	my ($command) = @_;
	my %reply = (id => $command->{id}, result => 0, text => '');
	if ($mode eq 'refuse') {
		@reply{qw(result text)} = (3, 'every address is taken');
	} elsif ($command->{command} eq 'lease-allocate') {
		$reply{arguments} = {grant => $grant, address => '203.0.113.7', epoch => 1, expires => 2000000000};
	}
	return encode_json(\%reply) . "\n";
}

while (my @ready = $select->can_read) {
	for my $fh (@ready) {
		if ($fh == $listener) {
			my $client = $listener->accept or next;
			$select->add($client);
			$pending{$client} = '';
			print $log "connected\n";
			next;
		}
		if (!sysread($fh, $pending{$fh}, 65536, length $pending{$fh})) {
			delete $pending{$fh};
			$select->remove($fh);
			close $fh;
			next;
		}
		while ($pending{$fh} =~ s/^([^\n]*)\n//) {
			my $line = $1;
			print $log "$line\n";
			next if $mode eq 'silent';
			syswrite($fh, $mode eq 'nonsense' ? "what is this\n" : answer(decode_json($line)));
		}
	}
}
