#!/usr/bin/env bash
# A Docker engine with Buildx for this machine: `engine.sh ensure|stop|status` and `engine.sh run COMMAND…`.
#
# ensure   nothing to do when an engine and Buildx answer; otherwise install (as root on Debian or Ubuntu)
#          and start them, until `stop`. Elsewhere one message says what to install.
# run      ensure, then run a command; an engine that had to be started for it is stopped afterwards.
# stop     stop the engine, if this script started it. Images and caches stay.
# status   say what is there.
#
# Exit codes: 0 ready, 2 wrong usage, 41 no engine can be had here; those of the command pass through `run`.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly PREFIX=/opt/airflow-ecs-engine
readonly DATA_ROOT=/var/lib/airflow-ecs-engine
readonly STATE=${AIRFLOW_ECS_ENGINE_STATE:-/run/airflow-ecs-engine} # another one for tests
readonly PIDFILE=$STATE/dockerd.pid
readonly SYSTEMD_MARK=$STATE/started-by-systemctl
readonly LOG=${AIRFLOW_ECS_ENGINE_LOG:-/var/log/airflow-ecs-engine.log} # likewise
readonly SOCKET=/var/run/docker.sock
readonly PLUGIN_FOLDER=/usr/local/libexec/docker/cli-plugins
readonly MINIMUM_ENGINE=25
readonly START_TIMEOUT=60
readonly STOP_TIMEOUT=30
readonly NO_ENGINE=41

started=0 # whether this very call started the engine

say() { printf '%s\n' "$*" >&2; }

die() {
    say "ERROR: $*"
    exit "$NO_ENGINE"
}

# --- What is there -------------------------------------------------------------------------------------------

# The docker command line: the one on PATH, else the one this script unpacked.
docker_cli() {
    if command -v docker >/dev/null 2>&1; then
        docker "$@"
    elif [[ -x $PREFIX/usr/bin/docker ]]; then
        "$PREFIX/usr/bin/docker" "$@"
    else
        return 127
    fi
}

# Prints the engine's version; fails when no engine answers.
engine_version() {
    docker_cli version --format '{{.Server.Version}}' 2>/dev/null
}

# Prints Buildx's version; fails when the plugin is missing.
buildx_version() {
    docker_cli buildx version 2>/dev/null | awk 'NR == 1 { print $2 }' | grep .
}

is_root() { ((EUID == 0)); }

# Prints a field of /etc/os-release, such as ID or VERSION_ID.
os_field() {
    if [[ -r /etc/os-release ]]; then
        # shellcheck source=/dev/null
        (. /etc/os-release && printf '%s' "${!1:-}")
    fi
}

has_apt() { command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; }

is_debian_like() {
    has_apt && [[ " $(os_field ID) $(os_field ID_LIKE) " == *" debian "* ]]
}

is_debian_12() { [[ $(os_field ID) == debian && $(os_field VERSION_ID) == 12 ]]; }

has_systemd() { [[ -d /run/systemd/system ]]; }

is_recent() { (("${1%%.*}" >= MINIMUM_ENGINE)); }

# --- Installing ----------------------------------------------------------------------------------------------

apt_quietly() {
    local log status=0
    log=$(mktemp)
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o APT::Sandbox::User=root "$@" >"$log" 2>&1 || status=$?
    if ((status != 0)); then
        say "apt-get $* failed:"
        tail -n 15 "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}

install_packages() {
    say "==> Installing $* with apt-get"
    apt_quietly update || say "The package lists could not be refreshed; trying with those that are there"
    apt_quietly install -y --no-install-recommends "$@" || die "apt-get could not install: $*"
}

# Prints the mirror that this machine's own packages come from.
debian_mirror() {
    # shellcheck disable=SC2016  # apt-get expands it
    apt-get indextargets --format '$(REPO_URI)' 'ORIGIN: Debian' 'LABEL: Debian' | head -n 1 | grep .
}

# Unpacks packages of Debian 13 into PREFIX. Apt gets a state of its own: the system's suite is left alone.
unpack_from_trixie() {
    local work mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg package
    [[ -r $keyring ]] || install_packages debian-archive-keyring
    # Apt knows whose mirrors it has once it has asked them.
    mirror=$(debian_mirror) || { apt_quietly update || true; mirror=$(debian_mirror); } \
        || die "apt has no Debian mirror on this machine: add one to /etc/apt/sources.list"
    say "==> Unpacking $* of Debian 13 into $PREFIX (the system's own packages are left alone)"
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/packages"
    printf 'deb [signed-by=%s] %s trixie main\n' "$keyring" "$mirror" >"$work/sources.list"
    cat >"$work/apt.conf" <<END
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$work/lists";
Dir::Cache::archives "$work/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
    (
        cd "$work/packages"
        export APT_CONFIG=$work/apt.conf
        apt_quietly update && apt_quietly download "$@"
    ) || {
        rm -rf "$work"
        die "Debian 13's packages could not be downloaded from $mirror"
    }
    for package in "$work"/packages/*.deb; do
        dpkg-deb -x "$package" "$PREFIX"
    done
    rm -rf "$work"
}

# Makes an unpacked file known to the system, without touching anything that is there.
link_new() {
    local source=$1 target=$2
    if [[ -L $target && ! -e $target ]]; then
        rm -f "$target"
    fi
    if [[ ! -e $target ]]; then
        mkdir -p "$(dirname "$target")"
        ln -s "$source" "$target"
        say "    linked $target"
    fi
}

link_buildx() {
    local folder plugin
    for folder in libexec lib; do
        plugin=$PREFIX/usr/$folder/docker/cli-plugins/docker-buildx
        if [[ -x $plugin ]]; then
            link_new "$plugin" "$PLUGIN_FOLDER/docker-buildx"
            return
        fi
    done
}

install_buildx() {
    if ! is_root || ! is_debian_like; then
        die "Docker answers, but its Buildx plugin is missing. Install it (docker-buildx-plugin of Docker's packages," \
            "docker-buildx of Debian's and Ubuntu's, or: brew install docker-buildx) and try again."
    fi
    if is_debian_12; then
        unpack_from_trixie docker-buildx
        link_buildx
    else
        install_packages docker-buildx
    fi
    buildx_version >/dev/null || die "Buildx is installed, but 'docker buildx version' still fails. Look at" \
        "$HOME/.docker/cli-plugins and $PLUGIN_FOLDER."
}

install_engine() {
    if is_debian_12; then
        [[ -x $PREFIX/usr/sbin/dockerd ]] || unpack_from_trixie docker.io docker-cli docker-buildx containerd tini
        if ! command -v iptables >/dev/null || ! command -v runc >/dev/null; then
            install_packages ca-certificates iptables runc
        fi
        link_buildx
        command -v docker >/dev/null 2>&1 || link_new "$PREFIX/usr/bin/docker" /usr/local/bin/docker
    elif [[ $(os_field ID) == debian ]]; then
        install_packages ca-certificates docker.io docker-cli docker-buildx iptables
    else
        install_packages ca-certificates docker.io docker-buildx iptables
    fi
}

# --- Starting and stopping -----------------------------------------------------------------------------------

# Prints the engine's program: the unpacked one, else the system's.
dockerd_program() {
    if [[ -x $PREFIX/usr/sbin/dockerd ]]; then
        printf '%s' "$PREFIX/usr/sbin/dockerd"
    else
        command -v dockerd
    fi
}

start_engine() {
    local program
    mkdir -p "$STATE"
    program=$(dockerd_program) || die "The engine's packages are installed, but there is no dockerd"
    if [[ $program != "$PREFIX"/* ]] && has_systemd; then
        say "==> Starting Docker with systemctl"
        systemctl start docker || die "systemctl could not start Docker. See: journalctl -u docker"
        touch "$SYSTEMD_MARK"
    else
        start_by_hand "$program"
    fi
    started=1
}

start_by_hand() {
    local program=$1 pid waited=0
    local -a arguments=(--pidfile "$PIDFILE" --host "unix://$SOCKET")
    if [[ $program == "$PREFIX"/* ]]; then
        arguments+=(--data-root "$DATA_ROOT")
    fi
    say "==> Starting $program (log: $LOG)"
    # The lock's descriptor (9) must not live on in the engine.
    PATH="$PREFIX/usr/sbin:$PREFIX/usr/bin:$PATH" setsid "$program" "${arguments[@]}" \
        >"$LOG" 2>&1 </dev/null 9>&- &
    pid=$!
    disown "$pid"
    until engine_version >/dev/null; do
        if ! kill -0 "$pid" 2>/dev/null; then
            show_log
            die "The Docker engine ended while starting; its last lines are above ($LOG)"
        fi
        if ((waited >= START_TIMEOUT * 5)); then
            kill "$pid" 2>/dev/null || true
            show_log
            die "The Docker engine was not ready within $START_TIMEOUT s; its last lines are above ($LOG)"
        fi
        sleep 0.2
        waited=$((waited + 1))
    done
}

show_log() { tail -n 20 "$LOG" >&2 2>/dev/null || true; }

# Prints the pid of the engine that this script started; fails when there is none.
own_pid() {
    local pid
    [[ -r $PIDFILE ]] || return 1
    pid=$(<"$PIDFILE")
    [[ $pid =~ ^[0-9]+$ && $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]] || return 1
    printf '%s' "$pid"
}

# --- Sub-commands --------------------------------------------------------------------------------------------

is_ready() {
    local engine buildx
    engine=$(engine_version) || return 1
    is_recent "$engine" || die "The running Docker engine is version $engine; $MINIMUM_ENGINE or newer is required." \
        "Update it, or stop it and run this again."
    buildx=$(buildx_version) || install_buildx
    say "Docker engine $engine and Buildx ${buildx:-$(buildx_version)} are ready"
}

explain_missing_engine() {
    local error
    if [[ -n ${DOCKER_HOST:-} ]]; then
        die "DOCKER_HOST is $DOCKER_HOST, but no Docker engine answers there. Start it, or unset DOCKER_HOST."
    fi
    error=$(docker_cli version 2>&1 >/dev/null || true)
    if [[ $error == *"permission denied"* ]]; then
        die "A Docker engine runs, but this user may not use it. Add the user to the group docker" \
            "(sudo usermod -aG docker $(id -un), then log in again), or run this as root."
    fi
    if [[ $(uname -s) == Darwin ]]; then
        die "No Docker engine answers. Install and start Docker Desktop (https://docs.docker.com/desktop/), or:" \
            "brew install docker docker-buildx colima && colima start"
    fi
    if ! is_debian_like; then
        die "No Docker engine answers. Install and start Docker Engine with its Buildx plugin:" \
            "https://docs.docker.com/engine/install/"
    fi
    is_root || die "No Docker engine answers. Run this as root to have it installed, or install Docker Engine and" \
        "its Buildx plugin: https://docs.docker.com/engine/install/"
}

ensure() {
    is_ready && return
    explain_missing_engine
    mkdir -p "$STATE"
    exec 9>"$STATE/lock"
    flock 9
    is_ready && return # another process was quicker
    if is_debian_12 || [[ -z $(dockerd_program) ]]; then
        install_engine
    fi
    start_engine
    is_ready || die "The Docker engine was started but does not answer"
}

stop() {
    local pid waited=0
    if [[ -e $SYSTEMD_MARK ]]; then
        say "==> Stopping Docker with systemctl"
        systemctl stop docker.socket docker
        rm -f "$SYSTEMD_MARK"
        return
    fi
    if ! pid=$(own_pid); then
        say "Nothing to stop: this script started no engine that still runs"
        return
    fi
    say "==> Stopping the Docker engine (pid $pid)"
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        ((waited < STOP_TIMEOUT * 5)) || die "The Docker engine (pid $pid) did not stop within $STOP_TIMEOUT s"
        sleep 0.2
        waited=$((waited + 1))
    done
    rm -f "$PIDFILE"
}

status() {
    local engine buildx pid
    engine=$(engine_version) || engine="does not answer"
    buildx=$(buildx_version) || buildx="missing"
    say "Engine: $engine"
    say "Buildx: $buildx"
    if pid=$(own_pid); then
        say "Started by this script: pid $pid, log $LOG"
    fi
    [[ $engine != "does not answer" && $buildx != missing ]] || exit "$NO_ENGINE"
}

# Runs a command, and stops an engine that had to be started for it.
run() {
    local child status
    ensure
    if ((started == 0)); then
        exec "$@"
    fi
    # In a process group of its own, the command gets each signal once, by us, and we outlive it.
    set -m
    "$@" 9>&- &
    child=$!
    trap 'kill -INT -- "-$child" 2>/dev/null || true' INT
    trap 'kill -TERM -- "-$child" 2>/dev/null || true' TERM HUP
    while true; do
        status=0
        wait "$child" || status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    trap '' INT TERM HUP
    stop
    exit "$status"
}

usage() {
    say "Usage: $0 ensure|stop|status, or: $0 run COMMAND [ARGUMENT…]"
    exit 2
}

main() {
    case "${1:-}" in
        ensure)
            ensure
            if ((started)); then
                say "The Docker engine keeps running. To stop it: make engine-stop"
            fi
            ;;
        stop | status)
            "$1"
            ;;
        run)
            (($# > 1)) || usage
            "$@"
            ;;
        *)
            usage
            ;;
    esac
}

# Tests read this file for its functions.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
