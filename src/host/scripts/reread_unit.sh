# Begins to read releases in a unit of its own, behind everything else that the host has to do. One that reads still goes
# on. Set before: unit, reading (the script).
# shellcheck disable=SC2154 # variables that are set before
if systemctl is-active --quiet -- "$unit"; then exit 0; fi
systemd-run --quiet --collect --no-block --unit="$unit" -p Nice=19 -p IOSchedulingClass=idle \
  -p CPUWeight=1 -p RuntimeMaxSec=3600 -- /bin/sh -c "$reading"
