# What is live on this host, in one go. Set before: fleet, paths (one a line), units, users, packages,
# releases (separated by spaces), digest_port (empty: nginx is no business of ours).
# Answers in sections `NAME LENGTH`, a line break, so many bytes, a line break. A part that cannot be
# told is a section `?NAME` with the reason.
# shellcheck disable=SC2154,SC2086 # variables that are set before; lists of checked names, split on purpose
base=/var/lib/evenkeel/$fleet
tab=$(printf '\t')
section() { printf '%s %s\n%s\n' "$1" "${#2}" "$2"; }

# The manifest, and what it says is ours.
if [ -e "$base/manifest" ]; then
  if manifest=$(cat "$base/manifest" 2>&1); then section manifest "$manifest"; else section '?manifest' "$manifest"; fi
fi
set -f
IFS='
'
set -- $paths "$base/manifest"
if [ -r "$base/manifest" ]; then
  while IFS=$tab read -r kind _ second third; do
    case $kind in
    file | link) set -- "$@" "$second" ;;
    unit) units="$units $third" ;;
    esac
  done <"$base/manifest"
fi
unset IFS
set +f

# Files: kind and mode, owner; digests of regular files; targets of links. What stat does not find is absent.
states=$(QUOTING_STYLE=literal stat -c '%f %U:%G %n' -- "$@" 2>&1)
section files "$states"
for path in "$@"; do
  if [ -L "$path" ]; then
    section link "$path$tab$(readlink -- "$path")"
  elif [ -f "$path" ]; then
    regular=yes
    set -- "$@" "$path"
  fi
  shift
done
if [ "${regular-}" ]; then section digests "$(sha256sum -- "$@" 2>&1)"; fi

# Units: one call for all, blocks in the order of their names.
if [ "$units" ]; then
  section units "$units"
  if shown=$(systemctl show -p LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,NRestarts,MainPID -- $units 2>&1); then
    section states "$shown"
    processes=
    while IFS= read -r line; do
      case $line in MainPID=0) ;; MainPID=*) processes="$processes /proc/${line#MainPID=}/cwd" ;; esac
    done <<END
$shown
END
    [ "$processes" ] && section directories "$(QUOTING_STYLE=literal stat -c %N $processes 2>/dev/null)"
  else
    section '?states' "$shown"
  fi
fi

# Who listens, and to which unit each listener's process belongs.
if listening=$(ss -Hltnp 2>&1); then
  section listeners "$listening"
  processes=
  rest=$listening
  while :; do
    case $rest in *pid=*) ;; *) break ;; esac
    rest=${rest#*pid=}
    processes="$processes /proc/${rest%%,*}/cgroup"
  done
  [ "$processes" ] && section cgroups "$(grep -H . $processes 2>/dev/null)"
else
  section '?listeners' "$listening (package iproute2 has ss)"
fi

# nginx: installed, and the digest of the configuration that it really serves.
if command -v nginx >/dev/null; then
  section nginx installed
  if [ "$digest_port" ]; then
    # shellcheck disable=SC2016 # bash expands $0, not this shell
    answer=$(timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 9
      printf "GET /.evenkeel/digest HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$digest_port" 2>&1)
    case $? in
    0) section digest "$answer" ;;
    9) section digest '' ;;
    *) section '?digest' "no answer on 127.0.0.1:$digest_port: $answer" ;;
    esac
  fi
fi

if [ "$packages" ]; then
  if command -v dpkg-query >/dev/null; then
    section packages "$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' -- $packages 2>/dev/null)"
  else
    section '?packages' 'dpkg-query is not there: only Debian packages are known'
  fi
fi
if [ "$users" ]; then
  found=$(getent passwd -- $users)
  case $? in 0 | 2) section users "$found" ;; *) section '?users' 'getent passwd does not answer' ;; esac
fi
present=
for digest in $releases; do [ -d "$base/releases/$digest" ] && present="$present $digest"; done
section releases "$present"

generation=0
[ -e "$base/generation" ] && read -r generation <"$base/generation"
section generation "$generation"
begun=$base/deployments/$generation
[ -e "$begun/journal" ] && [ ! -e "$begun/finished" ] && [ ! -e "$begun/undone" ] && section unfinished "$generation"

read -r boot </proc/sys/kernel/random/boot_id
read -r load rest </proc/loadavg
available=
while read -r key value rest; do [ "$key" = MemAvailable: ] && available=$value && break; done </proc/meminfo
section facts "$(uname -m)
$boot
$load
$available
$(df -Pk /var/lib | sed -n '$s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\).*/\1/p')"
section end ''
