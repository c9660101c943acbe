# Runs a service's check as the service runs. Set before, as arguments: the properties, and after `--` the command.
systemd-run --quiet --collect --wait --pipe "$@" 2>&1
