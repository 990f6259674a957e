#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: notes.sh READELF ARCHIVE
# Every object of the port claims landing pads and signed return addresses: one that does not takes the claim from all.
set -u
export LC_ALL=C
members=$("$1" -hW "$2" | grep -c '^ELF Header:')
claims=$("$1" -nW "$2" | grep 'AArch64 feature:' | grep BTI | grep -c PAC)
[ "$members" -gt 0 ] && [ "$members" -eq "$claims" ] && echo "$members objects, all with BTI and PAC" && exit 0
echo "$claims of $members objects claim BTI and PAC:"
"$1" -nW "$2"
exit 1
