# Makes this host refuse every deployment older than the generation, and ends what one of them runs: the
# unit undoes its phase when it is stopped. Set before: unit, base, generation.
# shellcheck disable=SC2154 # variables that are set before
set -e
newest=0
mkdir -p "$base"
[ -e "$base/generation" ] && read -r newest <"$base/generation"
# What holds no generation refuses nothing: it is replaced.
case $newest in '' | *[!0-9]* | ????????????????*) newest=0 ;; esac
if [ "$newest" -lt "$generation" ]; then
  printf '%s\n' "$generation" >"$base/generation.new"
  sync "$base/generation.new"
  mv -fT "$base/generation.new" "$base/generation"
  sync "$base"
fi
if [ "$(systemctl show --value -p LoadState "$unit")" != not-found ]; then systemctl stop "$unit"; fi
