# SPDX-License-Identifier: ISC
# shellcheck shell=sh disable=SC2034,SC2154
# Builds for other machines, other C libraries, other ways to compile; sourced after tests/prepare.sh, which see.
#
# $root: the tree; $long, 1: more, and slower; $named_suites: what was asked for; $build_* and $patience: what
# describe_cross sets.

cross_builds='aarch64 riscv64 s390x i386 musl'
cross_more='armhf ppc64el'		# not by default: nothing here that s390x and i386 do not have

is_cross() { case " $cross_builds $cross_more " in *" $1 "*) ;; *) return 1 ;; esac; }

# triplet BUILD: what Debian's cross tools are called after.
triplet() {
	case $1 in
	i386) say i686-linux-gnu ;;
	armhf) say arm-linux-gnueabihf ;;
	ppc64el) say powerpc64le-linux-gnu ;;
	*) say "$1-linux-gnu" ;;
	esac
}

# divisor BUILD: an emulator is slow, see check_divided in tests/check.h.
divisor() { case $(emulator "$1") in -) say 1 ;; *) say 50 ;; esac; }

# emulator BUILD: the program that runs its programs; `-': the kernel does.
emulator() {
	case $1 in
	i386 | musl) say - ;;
	armhf) say qemu-arm ;;
	ppc64el) say qemu-ppc64le ;;
	*) say "qemu-$1" ;;
	esac
}

debian_architecture() { case $1 in aarch64) say arm64 ;; *) say "$1" ;; esac; }

# describe_cross BUILD: as describe in tests/run; besides, build_cross: the cross file; build_sysroot: headers to find first.
describe_cross() {
	build_options='-Dwerror=true -Dtests=enabled -Dbench=disabled -Ddocs=disabled -Dvalgrind=disabled -Dtest_runner=plain'
	# Five builds in a minute: what depends on the machine, and a part of the rest.  With --long, everything.
	build_suites=lean
	[ "$long" = 0 ] || build_suites='unit asm abi examples stress'
	patience=3 build_cross='' build_sysroot=''
	case $1 in
	musl)
		# Linux's own headers are not among musl's; they are asked last, or they would bring the other C library along.
		build_about='another C library, musl' patience=1
		build_cc="musl-gcc -idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch 2>/dev/null)"
		return ;;
	aarch64 | riscv64) build_about='assembly, under qemu' ;;
	s390x) build_about='big-endian, ucontext(3), under qemu' ;;
	i386) build_about='32 bits, ucontext(3)' patience=1 ;;
	armhf) build_about='32 bits, ucontext(3), under qemu' ;;
	*) build_about='ucontext(3), under qemu' ;;
	esac
	build_cc=$(triplet "$1")-gcc
	build_cross=$root/tests/cross/$1.ini
	[ ! -d "$root/build/sysroot/$1/usr/include" ] || build_sysroot=$root/build/sysroot/$1/usr/include
}

# needs_cross BUILD: see need in tests/prepare.sh.
needs_cross() {
	if [ "$1" = musl ]; then
		need musl-tools has musl-gcc
		need linux-libc-dev [ -e /usr/include/linux/futex.h ]
		return
	fi
	need "gcc-$(triplet "$1")" has "$(triplet "$1")-gcc"
	need "libc6-dev-$(debian_architecture "$1")-cross" [ -e "/usr/$(triplet "$1")/include/stdlib.h" ]
	[ "$(emulator "$1")" = - ] || need qemu-user has "$(emulator "$1")"
}

# ready_cross BUILD: whether its programs can be made and run; if not, it says why.
ready_cross() {
	missing=
	needs_cross "$1"
	[ -z "$missing" ] || { say "not installed:$missing (--cross does it)" && return 1; }
	[ "$1" = i386 ] || return 0
	mkdir -p "$root/build" && printf 'int main(void) { return 0; }\n' |
		"$(triplet "$1")-gcc" -x c - -static -o "$root/build/probe-$1" && "$root/build/probe-$1" 2>/dev/null && return
	say 'this kernel runs no programs for i386'
	return 1
}

# skipped_log TREE REASON: a log for tests/tally.py that says so.
skipped_log() {
	mkdir -p "$1/meson-logs" &&
		printf '{"name": "all", "result": "SKIP", "stdout": "%s"}\n' "$2" >"$1/meson-logs/testlog.json"
}

# Every compiler at every level of optimisation, with link-time optimisation, as other C, position-dependent, as one kind of library.
# With --long, or by name.
matrix_builds=''
for matrix_cc in gcc clang; do
	for matrix_way in O0 O1 O2 O3 lto c17 static shared nopic; do matrix_builds="$matrix_builds $matrix_cc-$matrix_way"; done
done

is_matrix() { case " $matrix_builds " in *" $1 "*) ;; *) return 1 ;; esac; }

describe_matrix() {
	build_cc=${1%-*} build_about='another way to compile'
	build_suites='unit asm abi compat examples'
	build_options='-Dwerror=true -Dtests=enabled -Dbench=disabled -Ddocs=disabled -Dvalgrind=disabled -Dtest_runner=plain'
	case ${1#*-} in
	O?) build_options="$build_options -Doptimization=${1#*-O}" ;;
	lto)
		build_options="$build_options -Db_lto=true"
		build_suites='unit abi examples' ;;	# the others look into objects, which hold no code yet
	c17) build_options="$build_options -Dc_std=c17 -Doptimization=2" ;;
	static) build_options="$build_options -Ddefault_library=static -Dprefer_static=true -Dc_link_args=-static -Dcompat=disabled" ;;
	shared) build_options="$build_options -Ddefault_library=shared" ;;
	nopic)
		build_options="$build_options -Ddefault_library=static -Db_staticpic=false -Db_pie=false -Dcompat=disabled"
		build_options="$build_options -Dc_args=-fno-pic -Dc_link_args=-no-pie" ;;
	esac
}
