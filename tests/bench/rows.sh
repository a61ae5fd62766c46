# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What tests/bench/run and tests/bench/peers share. They set json (an array, empty or --json) and group_width, and have
# server_processes NAME, which prints the ids of the processes of an engine's server.
readonly cpu=1  # where one CPU is wanted
n_cpus=$(nproc) # nproc itself counts those of the process that asks
readonly n_cpus
pinned=()

note() { echo "bench: $*" >&2; }

# print GROUP COLUMN VALUE UNIT TARGET NOTE: one row; as the program prints its own
print() {
        awk -v group="$1" -v column="$2" -v value="$3" -v unit="$4" -v target="$5" -v note="$6" -v json="${json[*]}" \
                -v width="$group_width" 'BEGIN {
                if (json != "")
                        printf "{\"group\":\"%s\",\"column\":\"%s\",\"value\":%.4g,\"unit\":\"%s\",\"target\":%s}\n", group, column, value, unit, target
                else
                        printf "%-" width "s %-26s %9.4g %-12s %-14s %s\n", group, column, value, unit,
                               target == "null" ? "-" : target (value <= target + 0 ? " met" : " MISSED"), note }'
}

# instructions FILE FEW MANY COMMAND...: of one operation, start-up cancelled out; %n in the command is how many to do.
# FILE gets what callgrind and the command say.
instructions() {
        local n counts=() file=$1 few=$2 many=$3
        shift 3
        for n in "$few" "$many"; do
                valgrind --tool=callgrind --callgrind-out-file="$file.callgrind" "${@//%n/$n}" >"$file" 2>&1 || return 1
                counts+=("$(awk '/^(summary|totals):/ {print $2; exit}' "$file.callgrind")")
        done
        echo $(((counts[1] - counts[0]) / (many - few)))
}

# on_one_cpu NAME COMMAND...: with what the command starts and the engine's server on one CPU, where that can be arranged
on_one_cpu() {
        local name=$1 process
        shift
        if [ "$n_cpus" -gt $cpu ] && taskset -cp $cpu $$ >/dev/null 2>&1; then
                pinned=($$)
                for process in $(server_processes "$name"); do
                        taskset -acp $cpu "$process" >/dev/null 2>&1 && pinned+=("$process")
                done
                if [ "$name" != sqlite ] && [ ${#pinned[@]} -eq 1 ]; then
                        note "$name can't be moved to the client's CPU (no process known, or not allowed)"
                fi
        else
                note "no CPU of its own for the client"
        fi
        "$@"
        unpin
}

unpin() {
        local process
        for process in "${pinned[@]}"; do
                taskset -acp "0-$((n_cpus - 1))" "$process" >/dev/null 2>&1 || true
        done
        pinned=()
}
