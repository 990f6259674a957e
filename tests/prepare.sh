# SPDX-License-Identifier: ISC
# shellcheck shell=sh disable=SC2154
# prepare.sh: what the commands tests/run, bench/run and tests/chroot share: install what is missing, configure, compile.
#
# The caller sets $root, the top of the source tree, $program, its own name in messages, and $targets, what ninja is to
# build, or $targets_of, a command that prints that for a configured tree; and it defines needs(), which calls need() for
# each package that it uses.

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 2; }
has() { command -v "$1" >/dev/null 2>&1; }

# need PACKAGE COMMAND...: the package is missing unless the command succeeds.  Names are Debian's.
need() {
	need_package=$1
	shift
	case " $missing " in *" $need_package "*) return ;; esac
	"$@" >/dev/null 2>&1 </dev/null || missing="$missing $need_package"
}

has_library() { has "${PKG_CONFIG:-pkg-config}" && "${PKG_CONFIG:-pkg-config}" --exists "$1"; }
# $1 is not quoted here and below: a compiler may have arguments, such as `ccache gcc'.
has_libc() { [ -e /usr/include/stdlib.h ] || printf '#include <stdlib.h>\n' | $1 -E -; }
has_sanitizer() { mkdir -p "$root/build" && printf 'int main(void) { return 0; }\n' | $1 "$2" -x c - -o "$root/build/probe"; }

# need_compiler CC: with the C library's headers.
need_compiler() {
	case ${1##*/} in
	gcc* | clang*) need_compiler_package=${1##*/} ;;
	cc) need_compiler_package=gcc ;;
	*) need_compiler_package=${1##* } ;;
	esac
	need "$need_compiler_package" has "${1%% *}"
	need libc6-dev has_libc "$1"
}

# need_clang_runtime CLANG SANITIZER: its package is named after the version of clang, the installed one or the one to come.
need_clang_runtime() {
	clang_version=$($1 -dumpversion 2>/dev/null || apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-//p')
	[ -z "$clang_version" ] || need "libclang-rt-${clang_version%%.*}-dev" has_sanitizer "$1" "-fsanitize=$2"
}

# What every build needs.
need_build_tools() {
	need meson has meson
	need ninja-build has ninja
	need pkg-config has "${PKG_CONFIG:-pkg-config}"
	need libck-dev has_library ck
}

# The compiler when CC says nothing.
default_compiler() { if has gcc; then say gcc; elif has clang; then say clang; elif has cc; then say cc; else say gcc; fi; }

# logged LOG COMMAND...: on a terminal the output is the progress; elsewhere only the log has it.  After a failure on a
# terminal it runs again for the log's sake: ninja repeats just what failed.
logged() {
	logged_log=$1
	shift
	if [ -t 1 ]; then "$@" && return; fi
	"$@" >>"$logged_log" 2>&1
}

# apt_get ARGUMENT...: $sudo is empty for root.
apt_get() { logged "$root/build/install.log" ${sudo:+"$sudo"} env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null; }

# apt_install PACKAGE...: a package that is not found, or no longer is where the lists say, means that the lists are old.
apt_install() {
	mkdir -p "$root/build" && : >"$root/build/install.log" || exit 2
	say "installing: $*"
	apt-get install -s --no-install-recommends "$@" >/dev/null 2>&1 || apt_get update
	apt_get install -y --no-install-recommends "$@" && return
	apt_get update
	apt_get install -y --no-install-recommends "$@" && return
	tail -n 20 "$root/build/install.log" >&2
	die "$program: could not install: $*"
}

# Installs what needs() finds missing, or says what to type.  Twice at most: some names depend on what is installed first.
install_missing() {
	for pass in 1 2 3; do
		missing=
		needs
		[ -n "$missing" ] || return 0
		missing=${missing# }
		[ $pass != 3 ] || break
		has apt-get || die "$program: please install what these Debian packages hold: $missing"
		sudo=
		if [ "$(id -u)" != 0 ]; then
			line="apt-get update && apt-get install --no-install-recommends $missing"
			has sudo || die "$program: to install what is missing, type:
    su -c '$line'"
			sudo -n true 2>/dev/null || die "$program: to install what is missing, type:
    sudo sh -c '$line'"
			sudo=sudo
		fi
		# shellcheck disable=SC2086
		apt_install $missing
	done
	die "$program: installed, but not found: $missing"
}

# build_tree DIR CC MESON_OPTION...: configures DIR if that was not done in the same way before, and compiles $targets.
# Returns 1 on failure; DIR.log says why.
build_tree() {
	tree=$1 tree_cc=$2
	shift 2
	mkdir -p "$(dirname "$tree")" && : >"$tree.log" || exit 2
	tree_recipe=$(say "$root" && say "$tree_cc" && $tree_cc --version && meson --version && printf '%s\n' "${CFLAGS-}" "${LDFLAGS-}" "$@")
	if [ ! -f "$tree/build.ninja" ] || [ "$tree_recipe" != "$(cat "$tree/recipe" 2>/dev/null)" ]; then
		rm -rf "$tree"
		CC=$tree_cc meson setup "$tree" "$root" "$@" >>"$tree.log" 2>&1 </dev/null || return 1
		say "$tree_recipe" >"$tree/recipe"
	fi
	if [ -n "${targets_of-}" ]; then
		ninja -C "$tree" build.ninja >>"$tree.log" 2>&1 </dev/null && targets=$($targets_of "$tree") || return 1
	fi
	# shellcheck disable=SC2086
	logged "$tree.log" ninja -C "$tree" $targets </dev/null
}
