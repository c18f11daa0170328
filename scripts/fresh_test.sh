#!/usr/bin/env bash
# Prove `make demo` and `make test` on a bare Debian, from a fresh clone of HEAD: what somebody
# meets who has nothing but Python, make and git. Prints the time of each step.
#
# Runs in a mount and process namespace of its own: when it ends, however it ends, its mounts and
# processes are gone. SUITE and MIRROR choose another Debian, STEPS other make targets.
set -euo pipefail

suite=${SUITE:-bookworm}
mirror=${MIRROR:-}
steps=${STEPS:-demo test}

refuse() { printf 'fresh-test: cannot run here: %s\n' "$*" >&2; exit 1; }
timings=()
timed() { # timed NAME COMMAND...
    local name=$1 start=$SECONDS status=0
    shift
    printf '\n== %s\n' "$name"
    "$@" || status=$?
    timings+=("$(printf '%-28s %5d s  %s' "$name" $((SECONDS - start)) "$([ $status -eq 0 ] && echo ok || echo "failed ($status)")")")
    return $status
}
report() {
    printf '\n%-28s %7s\n' "step" "time"
    printf '%s\n' "${timings[@]}"
}

# What this host's pip is told, the bare one is told as well: configuration files, PIP_*, and the
# local folders that either of them names.
pip_config_files() {
    local file
    for file in "${PIP_CONFIG_FILE:-}" /etc/pip.conf /etc/xdg/pip/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        [ -n "$file" ] && [ -f "$file" ] && echo "$file"
    done
    return 0
}
pip_settings() { # one word a line
    { env | sed -n 's/^PIP_[A-Z_]*=//p'; pip_config_files | xargs -r -d '\n' sed -n 's/^[^#=]*=//p'; } | tr -s ' \t' '\n'
}
pip_folders() {
    local word
    pip_settings | while read -r word; do
        case $word in
            file://*/simple | file://*/simple/) word=${word#file://}; word=${word%/}; echo "${word%/simple}" ;; # its files lie beside it
            file://*) echo "${word#file://}" ;;
            /*) echo "$word" ;;
        esac
    done | while read -r word; do if [ -d "$word" ]; then echo "$word"; fi; done | sort -u
}

share() { # share FOLDER: the same folder, read-only, at the same place inside
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    mount -o remount,bind,ro "$root$1"
}
inside() {
    local variables
    mapfile -t variables < <(env | grep -E '^(PIP_[A-Z_]*|SSL_CERT_FILE|SSL_CERT_DIR|[a-zA-Z]+_(proxy|PROXY))=' || true)
    chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        "${variables[@]}" "$@"
}

if [ "${1:-}" != in-namespace ]; then
    [ "$(id -u)" -eq 0 ] || refuse "making a bare Debian needs root (try: sudo make fresh-test)"
    if ! command -v debootstrap >/dev/null; then
        command -v apt-get >/dev/null || refuse "debootstrap is missing, and there is no apt-get to install it"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap >/dev/null
    fi
    unshare --mount --pid --fork true 2>/dev/null || refuse "no mount namespaces (an unprivileged container?)"
    root=$(mktemp -d "${TMPDIR:-/tmp}/rugbus-fresh.XXXXXX")
    trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
    status=0
    ROOT=$root unshare --mount --propagation private --pid --fork --kill-child "$0" in-namespace || status=$?
    exit $status
fi

root=$ROOT
repository=$(cd "$(dirname "$0")/.." && pwd)
trap report EXIT
make_debian() {
    # shellcheck disable=SC2086
    debootstrap --variant=minbase --include=python3,make,git,ca-certificates "$suite" "$root" $mirror >"$root.log" 2>&1 \
        || { tail -n 20 "$root.log"; return 1; }
}
timed "debootstrap $suite" make_debian
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"
cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
share /etc/ssl/certs
pip_config_files | while read -r file; do install -D -m 644 "$file" "$root$file"; done
pip_folders | while read -r folder; do share "$folder"; done

timed "git clone" git clone --quiet "file://$repository" "$root/root/rugbus"
for step in $steps; do
    timed "make $step" inside make -C /root/rugbus "$step"
done
