#!/usr/bin/perl
# SPDX-License-Identifier: MPL-2.0
# kea-command.pl SOCKET JSON: sends one command to Kea's control socket and prints the answer.
use strict;
use warnings;
use IO::Socket::UNIX;

my ($path, $json) = @ARGV;
my $kea = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path) or die "$path: $!\n";
alarm 20;
print $kea $json;
$kea->flush;
shutdown($kea, 1);
local $/;
print <$kea>, "\n";
