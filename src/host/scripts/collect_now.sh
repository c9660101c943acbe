# Removes the releases that nothing uses, unless a deployment is under way, and prints each. Set before: base, unit, keep
# (how many stay). After collect.sh.
# shellcheck disable=SC2154,SC2034 # variables that are set before, and name is for collect.sh
name=-
[ ! -e "$base/last" ] || read -r name <"$base/last"
if [ -e "$base/open" ] || systemctl is-active --quiet -- "$unit"; then
  echo 'a deployment is under way there, or was cut off; wait, or apply first'
  exit 75
fi
collect_releases "$keep"
