#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: notes.sh PORT ARCHIVE CONSUMER
# What the object files of a port say to the linker, and what comes of it in a program that uses them.
set -u
port=$1 archive=$2 consumer=$3
readelf=${READELF:-readelf}

fail() {
	echo "notes.sh: $*"
	exit 1
}

command -v "$readelf" >/dev/null || { echo "there is no $readelf"; exit 77; }
export LC_ALL=C

segment=$("$readelf" -lW "$consumer" | grep GNU_STACK) || fail "$consumer does not say whether its stack is executable"
case $segment in
*RWE*) fail "the stack of $consumer is executable: $segment" ;;
esac

members=$("$readelf" -hW "$archive" | grep -c '^ELF Header:')
notes=$("$readelf" -SW "$archive" | grep -c '\.note\.GNU-stack')
[ "$members" -gt 0 ] && [ "$members" -eq "$notes" ] || fail "$notes of $members objects have .note.GNU-stack"

# Num: Value Size Type Bind Vis Ndx Name
visible=$("$readelf" -sW "$archive" | awk '$5 == "GLOBAL" && $7 != "UND" && $6 != "HIDDEN" { print $8 }')
[ -z "$visible" ] || fail "not hidden: $visible"
bare=$("$readelf" -sW "$archive" | awk '$5 == "GLOBAL" && $7 != "UND" && ($4 != "FUNC" || $3 == 0) &&
	$8 !~ /^__x86\.get_pc_thunk\./ { print $8 }')		# the compiler's own, on i386
[ -z "$bare" ] || fail "without type or size: $bare"
hidden=$("$readelf" -sW "$archive" | awk '$5 == "GLOBAL" && $7 != "UND" { print $8 }' | sort | tr '\n' ' ')
for symbol in reap_md_jump reap_md_swap; do		# reap_md_make() may be inline
	case " $hidden" in
	*" $symbol "*) ;;
	*) fail "$symbol is not defined" ;;
	esac
done
echo "no executable stack; hidden: $hidden"

machine=$("$readelf" -hW "$archive" | sed -n 's/^ *Machine: *//p' | sort -u)
case $port:$machine in
asm:*X86-64*)
	properties=$("$readelf" -nW "$archive" | grep 'x86 feature')
	case $properties in
	*IBT*) ;;
	*) fail "swap.S does not claim IBT" ;;
	esac
	case $properties in
	*SHSTK*) fail "swap.S claims SHSTK: $properties" ;;
	esac
	echo "$properties" ;;
esac
