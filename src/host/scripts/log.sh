# The last lines that a unit logged. Set before: unit, lines.
# shellcheck disable=SC2154 # variables that are set before
journalctl --no-pager -o cat -n "$lines" -u "$unit" 2>&1
