# Files, the releases of which they are a part, and users. Part of the probe, after signature.sh, verify.sh and
# probe_units.sh, which tells which processes' directories are looked at.
#
# shellcheck disable=SC2154,SC2086 # variables that are set before; lists of checked names, split on purpose
#
# Type and mode, owner, name, where a link points; the working directories of units are links too.
# What is absent stat says so of. Nowhere else standard error lies among answers: a library that cannot be preloaded,
# say, has every program complain there.
asks stat
IFS=$newline
files=$(QUOTING_STYLE=literal stat -c '%f %U:%G %N' -- $paths "$base/manifest" "$base/key" $folders $directories 2>&1)
section files "$files"
owners=' '
for line in $files; do
  case $line in
  stat:*) ;;
  [0-9a-f]*' '*:*' '*)
    line=${line#* }
    owners="$owners${line%%:*} "
    ;;
  esac
done
set --
for path in $paths "$base/manifest" "$base/key"; do
  if [ -f "$path" ] && [ ! -L "$path" ]; then set -- "$@" "$path"; fi
done
# A certificate is somebody else's, and as a rule a link to the newest one.
for pair in $certificates; do
  if [ -f "${pair%%"$tab"*}" ]; then set -- "$@" "${pair%%"$tab"*}"; fi
done
unset IFS

# Releases: `DIGEST whole|there|touched|changed` a line. What looks as it did when every byte was checked is not
# read again.
due='' directories='' signatures='' signed=yes seen=''
for digest in $releases; do
  [ -d "$base/releases/$digest" ] || continue
  case " $spared " in
  *" $digest "*) seen="$seen$digest there$newline" ;;
  *)
    due="$due $digest" directories="$directories $base/releases/$digest"
    signatures="$signatures $base/listings/$digest.signature"
    # Whoever finds damage by reading removes it.
    [ -e "$base/listings/$digest.signature" ] || signed=
    ;;
  esac
done
# What they look like is hashed as it comes, for it may be megabytes, and by the program that hashes the files.
asks releases
live='' untouched=''
if [ "$due" ]; then
  digests=$(signature $directories | sha256sum -- "$@" - 2>/dev/null)
  case $digests in *'  -') live=${digests##*"$newline"} live=${live%% *} ;; esac
elif [ $# != 0 ]; then
  digests=$(sha256sum -- "$@" 2>/dev/null)
fi
if [ "$due" ] || [ $# != 0 ]; then section digests "$digests"; fi
# The signatures' own digest does not change while they do not: an earlier answer's is as good as theirs.
if [ "$live" ] && [ "$signed" ]; then
  if [ "$live" != "$releases_signed" ]; then
    releases_signed=$(cat -- $signatures 2>/dev/null | sha256sum 2>/dev/null)
    releases_signed=${releases_signed%% *}
  fi
  if [ "$live" = "$releases_signed" ]; then
    untouched=yes
    section releases-signed "$live"
  fi
fi
# Reading gigabytes takes longer than a look may: of such a release it is told that it was touched, and it is read
# when it is staged anew.
readable() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print (sum < 2147483648) }'; }
for digest in $due; do
  directory=$base/releases/$digest listing=$base/listings/$digest
  if [ "$untouched" ] || [ "$(signature "$directory")" = "$(cat -- "$listing.signature" 2>/dev/null)" ]; then
    state=whole
  elif [ -e "$listing" ] && [ "$(readable "$directory")" = 1 ] && [ "$(differing "$listing" "$directory")" ]; then
    state=changed
  else
    state=touched
  fi
  seen="$seen$digest $state$newline"
done
section releases "$seen"

# Users, a line of passwd each, or its beginning: who owns something by name is known by name. The others are asked about.
# 2: some are not there.
if [ "$users" ]; then
  found='' others=''
  for user in $users; do
    case $owners in *" $user "*) found="$found$user:$newline" ;; *) others="$others $user" ;; esac
  done
  if [ "$others" ]; then
    asks getent
    known=$(getent passwd -- $others)
    case $? in 0 | 2) section users "$found$known" ;; *) section '?users' 'getent passwd does not answer' ;; esac
  else
    section users "$found"
  fi
fi
