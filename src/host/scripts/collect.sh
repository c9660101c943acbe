# Releases that nothing uses any more. Set before: base, name (of the deployment that may still be undone).
# shellcheck disable=SC2154 # variables that are set before

# The releases that are in use, or that undoing this deployment would bring back.
releases_in_use() {
  kept=$(grep -ls -m 1 '^evenkeel manifest ' "$base/deployments/$name"/*/kept/*)
  # shellcheck disable=SC2086 # paths of ours, without spaces
  cat -- "$base/manifest" $kept 2>/dev/null | sed -n 's/^release	\([0-9a-f]*\)$/\1/p'
}

# Of the others the newest stay: those that were in use last.
collect_releases() { # KEEP
  in_use=" $(releases_in_use | sort -u | tr '\n' ' ')"
  for digest in $in_use; do [ ! -e "$base/listings/$digest" ] || touch -- "$base/listings/$digest"; done
  left=$1
  # shellcheck disable=SC2010,SC2012 # the names there are ours: digests
  { ls -1t -- "$base/listings" | grep -x '[0-9a-f]*' && ls -1 -- "$base/releases"; } 2>/dev/null | while read -r digest; do
    case $in_use in *" $digest "*) continue ;; esac
    if [ "$left" -gt 0 ] && [ -e "$base/listings/$digest" ]; then
      left=$((left - 1))
      # It comes by once more, as a folder.
      in_use="$in_use$digest "
      continue
    fi
    rm -rf -- "${base:?}/releases/${digest:?}" "$base/listings/$digest" "$base/listings/$digest.signature"
    printf '%s\n' "$digest"
  done
}
