# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Servers of one test's own, in containers that go with it: what tests/fault/bank and tests/fault/disk share. They set
# root, engine, program, keep, dir, image, container (the name) and arguments (of the server).
container=''
containers=()
ports=()
network=''

die() {
        printf '%s: %s\n' "${0##*/}" "$*" >&2
        exit 1
}

# build_program TARGET: the program of build/dev, unless --program named one.
build_program() {
        if [ -n "$program" ]; then return; fi
        cmake -S "$root" --preset dev > /dev/null
        cmake --build "$root/build/dev" --target "$1" > /dev/null
        program=$root/build/dev/tests/fault/$1
}

cleanup() {
        if [ "$keep" = true ]; then
                printf '%s: left as they are: %s\n' "${0##*/}" "$dir ${containers[*]} $network" >&2
                return
        fi
        if [ "${#containers[@]}" -gt 0 ]; then docker rm -f -v "${containers[@]}" > /dev/null 2>&1 || true; fi
        if [ -n "$network" ]; then docker network rm "$network" > /dev/null 2>&1 || true; fi
        if [ -n "$dir" ]; then rm -rf "$dir"; fi
}

# admin_sql CONTAINER SQL: as the account that may do everything there is.
admin_sql() {
        case $engine in
        postgres) docker exec "$1" psql -XAtq -U postgres -d postgres -c "$2" ;;
        mysql) docker exec -e MYSQL_PWD=dal-test "$1" mysql --no-defaults -h 127.0.0.1 \
                --get-server-public-key -u dal -BNe "$2" ;;
        mariadb) docker exec -e MYSQL_PWD=dal-test "$1" mariadb --no-defaults -h 127.0.0.1 -u dal -BNe "$2" ;;
        esac
}

free_port() {
        local port
        while :; do
                port=$((10000 + RANDOM % 9000))
                if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then break; fi
        done
        printf '%s' "$port"
}

# start_server CONTAINER OPTION...: the last are of docker; the server's own stand in `arguments`.
start_server() {
        local name=$1 inner=3306 port
        shift
        if [ "$engine" = postgres ]; then inner=5432; fi
        port=$(free_port)
        containers+=("$name")
        ports+=("$port")
        docker run -d --name "$name" -p "127.0.0.1:$port:$inner" "$@" "$image" "${arguments[@]}" > /dev/null ||
                die "the container $name can't be started"
}

await_server() {
        local deadline=$((SECONDS + 60))
        until admin_sql "$1" 'SELECT 1' > /dev/null 2>&1; do
                if [ "$SECONDS" -ge "$deadline" ]; then
                        docker logs --tail 20 "$1" >&2
                        die "$1 isn't ready after a minute; the end of its log is above"
                fi
                sleep 0.2
        done
}

