# The releases that lie here: `DIGEST in-use|kept SINCE BYTES` a line, SINCE when it was in use last, in seconds
# since 1970; and its listing, each line after a tab. Set before: base.
# shellcheck disable=SC2154 # variables that are set before
in_use=" $(sed -n 's/^release\t\([0-9a-f]*\)$/\1/p' "$base/manifest" 2>/dev/null | tr '\n' ' ')"
for directory in "$base/releases"/*; do
  [ -d "$directory" ] || continue
  digest=${directory##*/} state=kept
  case $in_use in *" $digest "*) state=in-use ;; esac
  since=$(stat -c %Y -- "$base/listings/$digest" 2>/dev/null || stat -c %Y -- "$directory") || exit 1
  bytes=$(find "$directory" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }') || exit 1
  printf '%s %s %s %s\n' "$digest" "$state" "$since" "$bytes"
  [ ! -e "$base/listings/$digest" ] || sed 's/^/\t/' "$base/listings/$digest"
done
