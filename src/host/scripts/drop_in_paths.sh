# The drop-ins that systemd has read for a unit. Set before: unit.
# shellcheck disable=SC2154 # variables that are set before
systemctl show --value -p DropInPaths -- "$unit"
