# Releases that nothing uses any more. Set before: base, name (of the deployment that may still be undone).
# shellcheck disable=SC2154 # variables that are set before

# The releases that are in use, or that undoing this deployment would bring back.
releases_in_use() {
  kept=$(grep -ls -m 1 '^evenkeel manifest ' "$base/deployments/$name"/*/kept/*)
  # shellcheck disable=SC2086 # paths of ours, without spaces
  sed -n 's/^release	\([0-9a-f]*\)$/\1/p' -- "$base/manifest" $kept 2>/dev/null
}

# Of the others the newest stay: those that were in use last.
collect_releases() { # KEEP
  in_use=' ' listed=''
  for digest in $(releases_in_use); do
    case $in_use in *" $digest "*) continue ;; esac
    in_use="$in_use$digest "
    [ ! -e "$base/listings/$digest" ] || listed="$listed $base/listings/$digest"
  done
  # shellcheck disable=SC2086 # paths of ours, without spaces
  [ ! "$listed" ] || touch -- $listed
  # As a rule there is nothing to collect, which takes no program to see.
  unused=''
  for path in "$base/listings"/* "$base/releases"/*; do
    digest=${path##*/}
    # Beside listings lie signatures.
    case $path in "$base/listings/"*) case $digest in *[!0-9a-f]*) continue ;; esac ;; esac
    case $in_use in *" $digest "*) ;; *) [ ! -e "$path" ] || unused=yes ;; esac
  done
  [ "$unused" ] || return 0
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
