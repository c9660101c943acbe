# Asks whether a service listens. Set before: seconds, port.
# shellcheck disable=SC2154,SC2016 # variables that are set before, and $0 is for bash
timeout "$seconds" bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$port" 2>&1
