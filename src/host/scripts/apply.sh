# What the steps of a phase do on a host. Run by the host's systemd as a transient unit, so that it goes
# on, or is undone, without the controller. Set before: base, name and generation (of this deployment),
# directory and events (of this phase of it), kept_units (patterns, where a unit is replaced). Order, always: the manifest owns a path before the path changes;
# what is replaced is kept and synced before it is replaced; a file is written beside its place, synced, and
# renamed.
# shellcheck disable=SC2154 # variables that are set before
set -u
umask 022
payload=$directory/payload
journal=$directory/journal
own_unit=evenkeel-${base##*/}.service
: >>"$events"

say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$events"; }
flat() { printf '%.3000s' "$1" | tr '\n\t' '\036 '; }

# Whose failure a step's is, by the status it ends with. A commit is quarantined only for what is named as its own:
# what nobody thought of is the instance's, and is tried again.
of_commit=65
overtaken=75

# Runs one step: step ID COMMAND...
step() {
  id=$1
  shift
  say started "$id" ''
  output=$("$@" 2>&1)
  status=$?
  if [ "$status" = 0 ]; then
    say 'done' "$id" ''
  else
    # A host that goes down ends what runs on it: that says nothing of the step.
    [ "$(systemctl is-system-running 2>/dev/null)" != stopping ] || exit 1
    # On a disk that is full this is to be read all the same, and says more than `I/O error`.
    # shellcheck disable=SC2046 # three numbers; a disk without a limit of inodes has `-` or 0 of them
    set -- $(df -k --output=avail,itotal,iavail -- "$base" | tail -n 1)
    full=
    [ "${1:-0}" -ge 64 ] || full="the disk of $base is full"
    case ${2:-0}-${3:-0} in [1-9]*-0) full="the disk of $base is full: no inode is left" ;; esac
    if [ "$full" ]; then
      output="$output ($full)"
      [ "$status" = "$overtaken" ] || status=1
    fi
    rm -rf -- "$base/deployments/$name/reserve" "$base/deployments/$name/reserved-files"
    # What systemd adds to this very unit may be why.
    added=$(systemctl show --value -p DropInPaths -- "$own_unit")
    [ -z "$added" ] || output="$output (systemd adds to $own_unit what evenkeel did not write: $added; a plan tells what exempts it)"
    case $status in "$of_commit") cause=commit ;; "$overtaken") cause=overtaken ;; *) cause=host ;; esac
    printf 'failed\t%s\t%s\t%s\n' "$id" "$cause" "$(flat "$output")" >>"$events"
    exit 1
  fi
}

# A line in the journal, in force before what it undoes.
record() {
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$journal" && sync "$journal"
}

# Keeps what lies at a path, once per phase.
keep() {
  while IFS=$(printf '\t') read -r kind number path; do
    case $kind in kept | absent) [ "$path" = "$1" ] && return 0 ;; esac
  done <"$journal"
  number=$(($(wc -l <"$journal") + 1))
  if [ -e "$1" ] || [ -L "$1" ]; then
    cp -a -T -- "$1" "$directory/kept/$number" || return 1
    # A link has no content to sync; its name is its folder's.
    if [ -L "$1" ]; then sync "$directory/kept"; else sync "$directory/kept/$number"; fi || return 1
    record kept "$number" "$1"
  else
    record absent - "$1"
  fi
}

# Notes, once per phase, whether a unit was active or enabled; of one that ran, which of its starts that was.
note() { # active|enabled UNIT
  while IFS=$(printf '\t') read -r kind _ unit; do
    [ "$kind" = "$1" ] && [ "$unit" = "$2" ] && return 0
  done <"$journal"
  # `activating` is what systemd's own restarts of a crashing process look like: it is meant to run, and tries.
  case $1-$(systemctl show --value -p ActiveState -p UnitFileState -- "$2" | tr '\n' ' ') in
  active-activating*) record active tries "$2" ;;
  active-active* | active-reloading*)
    record active "yes-$(systemctl show --value -p InvocationID -- "$2")" "$2"
    ;;
  enabled-*' enabled '*) record enabled yes "$2" ;;
  *) record "$1" no "$2" ;;
  esac
}

# Refuses when a path is no longer as the plan saw it.
still() { # PATH absent|DIGEST|-> TARGET
  case $2 in
  absent) [ ! -e "$1" ] && [ ! -L "$1" ] && return 0 ;;
  '-> '*) [ -L "$1" ] && [ "$(readlink -- "$1")" = "${2#-> }" ] && return 0 ;;
  *) [ -f "$1" ] && [ ! -L "$1" ] && live=$(sha256sum -- "$1") && [ "${live%% *}" = "$2" ] && return 0 ;;
  esac
  echo "$1 is no longer as it was when this was planned; plan again"
  return "$overtaken"
}

install_file() { # PAYLOAD PATH MODE
  mkdir -p -- "${2%/*}" &&
    (umask 077 && cp -- "$payload/$1" "$2.evenkeel-new") &&
    chown -- root:root "$2.evenkeel-new" && chmod -- "$3" "$2.evenkeel-new" &&
    sync "$2.evenkeel-new" && mv -fT -- "$2.evenkeel-new" "$2" && sync "${2%/*}"
}

write_file() { # PATH MODE PAYLOAD BEFORE
  still "$1" "$4" && keep "$1" && install_file "$3" "$1" "$2"
}

write_link() { # PATH TARGET BEFORE
  still "$1" "$3" && keep "$1" && mkdir -p -- "${1%/*}" && rm -f -- "$1.evenkeel-new" &&
    ln -s -- "$2" "$1.evenkeel-new" && mv -fT -- "$1.evenkeel-new" "$1" && sync "${1%/*}"
}

remove_file() { # PATH BEFORE
  still "$1" "$2" || return
  [ "$2" = absent ] && return 0
  keep "$1" && rm -f -- "$1" && sync "${1%/*}"
}

daemon_reload() { systemctl daemon-reload; }

# Before the first file changes: a host that boots in the middle starts units from what it finds then.
note_running() { # UNIT...
  for unit; do note active "$unit" || return 1; done
}

# A unit whose file somebody has removed cannot be disabled; it can run all the same.
disable() { systemctl disable --now --quiet -- "$1" || { ! systemctl cat -- "$1" >/dev/null 2>&1 && systemctl stop -- "$1"; }; }
# One that has failed would outlive its file in systemd's memory.
stop_unit() {
  note active "$1" && note enabled "$1" && disable "$1" || return 1
  systemctl reset-failed --quiet -- "$1" 2>/dev/null
  return 0
}
stands_for() { # NAME PATTERN...
  name_there=$1
  shift
  for pattern; do
    # shellcheck disable=SC2254 # a pattern is one
    case $name_there in $pattern) return 0 ;; esac
  done
  return 1
}
# A unit that ran before evenkeel. Some name on this host, an alias, may be that of one without which nobody gets in:
# one of the kept units, or one that this deployment came in by (`way-in`, written where the phase was begun).
stop_foreign() {
  names=$(systemctl show --value -p Id -p Names -- "$1" | tr '[:upper:]' '[:lower:]')
  if [ -z "$names" ]; then
    echo "systemd does not tell the names of $1"
    return 1
  fi
  set -f
  for name in $names; do
    # shellcheck disable=SC2086 # patterns, one word each
    if stands_for "$name" $kept_units || grep -qixF -- "$name" "$directory/way-in"; then
      set +f
      echo "$1 is $name here, which keeps this host running or reachable; take it out of 'replaces'"
      return "$of_commit"
    fi
  done
  set +f
  stop_unit "$1"
}
enable_unit() { note enabled "$1" && systemctl enable --no-reload --quiet -- "$1"; }
# Deployments in quick succession are no crash loop: systemd must not count their starts (StartLimitBurst).
# A unit that has not failed cannot be reset; that is no error.
run_unit() { # start|restart UNIT
  note active "$2" || return 1
  systemctl reset-failed --quiet -- "$2" 2>/dev/null
  systemctl "$1" -- "$2" && return 0
  # Told now: what is new here is gone once this is undone.
  added=$(systemctl show --value -p DropInPaths -- "$2")
  if [ "$added" ]; then
    echo "$2 is changed by $added, not by evenkeel"
    return 1
  fi
  # Source: systemd.exec(5), "Process Exit Codes": from 200 on systemd itself could not set the process up, which but
  # for the program (203) and its user (217) is for something on the host.
  case $(systemctl show --value -p ExecMainStatus -- "$2") in
  203 | 217) return "$of_commit" ;;
  2[0-4][0-9]) return 1 ;;
  esac
  return "$of_commit"
}
start_unit() { port_is_free "$1" && run_unit start "$1"; }
# What it runs has the port, as a rule; what `replaces` names is in the way where such a unit has to stop.
restart_unit() { { [ ! "${kept_units:-}" ] || port_is_free "$1"; } && run_unit restart "$1"; }

# Whatever had to make room is stopped by now. A process that outlives its unit would answer in the place of the new one.
# It may take a moment to end.
port_is_free() { # UNIT
  tries=0
  while held=$(port_holder "$1"); do
    tries=$((tries + 1))
    [ "$tries" -le 10 ] || { printf '%s\n' "$held" && return 1; }
    sleep 0.1
  done
}
# Says who holds a unit's port besides the unit, as evenkeel reads it; 1: nobody.
port_holder() { # UNIT
  port=${1##*@}
  port=${port%.service}
  rest=$(ss -Hltnp "sport = :$port" 2>/dev/null)
  while :; do
    case $rest in *'("'*pid=*) ;; *) return 1 ;; esac
    rest=${rest#*'("'}
    process=${rest%%'"'*}
    rest=${rest#*pid=}
    pid=${rest%%[!0-9]*}
    group=$(cat "/proc/$pid/cgroup" 2>/dev/null) || continue
    case $group in *"/$1" | *"/$1/"* | *"/$1
"*) ;; *) break ;; esac
  done
  read -r uptime _ </proc/uptime
  read -r stat <"/proc/$pid/stat"
  printf 'port-held\n%s\n%s\n%s\n%s\n%s\n%s\n' "$port" "$1" "$process" "$pid" "$uptime" "${stat##*) }"
  head -c 1000 "/proc/$pid/cmdline" | tr '\0\n\t' '   '
  printf '\n%s\n' "$group"
}

# Who holds a lock of dpkg or apt: `COMMAND (pid N)`, nothing where it is free. Source of the fields: proc_locks(5);
# `->` waits for a lock.
lock_holder() {
  locks=" $(stat -c %i -- /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock \
    /var/cache/apt/archives/lock 2>/dev/null | tr '\n' ' ')"
  while read -r _ kind _ _ pid place _; do
    case $kind-$locks in '->'*) ;; *" ${place##*:} "*)
      read -r holder 2>/dev/null <"/proc/$pid/comm" || continue
      echo "$holder (pid $pid)"
      return
      ;;
    esac
  done </proc/locks
}
# Waits until nobody holds a lock of dpkg or apt; `id` is the step that says so.
wait_for_dpkg() {
  waited=0 told=
  while holder=$(lock_holder) && [ "$holder" ]; do
    if [ "$waited" -ge 120 ]; then
      echo "dpkg or apt has been locked for $waited s by $holder, so nothing was installed; see what it does there; plan again"
      return 1
    fi
    [ "$holder" = "$told" ] || say waiting "$id" "the lock of dpkg and apt, which $holder holds"
    told=$holder waited=$((waited + 1))
    sleep 1
  done
}

install_packages() {
  # The messages that are looked for below; not LC_ALL, which packages may take their own settings from.
  export DEBIAN_FRONTEND=noninteractive LC_MESSAGES=C LANGUAGE=C
  wait_for_dpkg || return 1
  asked="$*" number=$#
  # A name is a name: apt takes `a.c` for a pattern, too, when there is no such package.
  # A configuration file that is there already stays: nobody is here to be asked.
  set -- apt-get install -y -q --no-install-recommends -o APT::Cmd::Pattern-Only=true -o DPkg::Lock::Timeout=120 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -- "$@"
  said=$("$@" 2>&1) && return 0
  # What dpkg did not manage a newer list does not mend.
  case $said in
  *'Sub-process /usr/bin/dpkg'* | *'dpkg was interrupted'*) ;;
  *)
    again=$(apt-get update -q 2>&1 && "$@" 2>&1) && return 0
    said=$said"
"$again
    ;;
  esac
  # What fails may be another package, which an earlier installation left half-way.
  # shellcheck disable=SC2086,SC2016 # names of packages, one word each; dpkg expands the format
  installed=$(dpkg-query -W -f '${db:Status-Status}\n' -- $asked 2>/dev/null | grep -cx installed)
  [ "$installed" != "$number" ] || return 0
  # apt tells first what it is about to do; what stands against it begins with one of these.
  printf '%s\n' "$said" | sed -n '/^\(E:\|dpkg:\)/,$p' | grep . || printf '%s\n' "$said"
  case $said in
  *'Could not get lock'* | *'Unable to acquire the dpkg'* | *'Unable to lock'*)
    echo "somebody else installs there, so nothing was installed; plan again"
    return 1
    ;;
  *'dpkg was interrupted'*)
    echo "dpkg was interrupted there before; 'sudo dpkg --configure -a' ends that, or says why not; plan again"
    return 1
    ;;
  esac
  half=$(dpkg --audit 2>&1)
  if [ "$half" ]; then
    echo "dpkg is left half-way, which no undo changes; 'sudo dpkg --configure -a' ends it, or says why not:"
    printf '%s\n' "$half"
  fi
  # Those that no list has, once a newer one could be had, and those that exclude one another.
  case $said in
  *'Could not get lock'* | *'Failed to fetch'*) return 1 ;;
  *'Unable to locate package'* | *'has no installation candidate'* | *'have unmet dependencies'*) return "$of_commit" ;;
  esac
  return 1
}

# Whether none of these workers takes connections any more: for a tenth of a second after a reload the
# old ones do, beside the new, and serve the old configuration.
retired() { # PID...
  for worker in "$@"; do
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$worker/cmdline") in '' | *'shutting down'*) ;; *) return 1 ;; esac
  done 2>/dev/null
}

# A reload counts only when the loopback server answers the new digest: nginx can answer success to
# `-t` and to a reload and go on serving the old configuration. And only when each site is answered by its own server:
# one of somebody else may have its name, its address or, of a site without a name, all others.
reload_nginx() { # DIGEST PORT ADDRESS PROOFS
  if ! tested=$(nginx -t 2>&1); then
    echo "$tested"
    case $tested in *" in /etc/nginx/conf.d/evenkeel-${base##*/}-"*) return "$of_commit" ;; esac
    return 1
  fi
  note active nginx.service || return 1
  record nginx - nginx.service || return 1
  main=$(systemctl show --value -p MainPID nginx.service)
  old_workers=$(cat "/proc/$main/task/$main/children" 2>/dev/null)
  if systemctl is-active --quiet nginx.service; then systemctl reload nginx.service; else systemctl start nginx.service; fi || return 1
  tries=0
  while [ "$tries" -lt 200 ]; do
    # shellcheck disable=SC2086 # process ids, one word each
    if [ "$(ask_nginx "${base##*/}" "$2" '' '')" = "digest answered $1" ] && retired $old_workers; then
      sites_are_ours "$3" "$4"
      return
    fi
    tries=$((tries + 1))
    sleep 0.05
  done
  echo "nginx accepted the reload and goes on serving its old configuration"
  tail -n 5 /var/log/nginx/error.log
  return 1
}

# Says what answers in the place of each site that is not answered by its own server, with its file.
sites_are_ours() { # ADDRESS PROOFS
  not_ours=$(ask_nginx "${base##*/}" '' "$1" "$2" | grep -v -e ' own$' -e ' unasked$') || return 0
  servers=$(read_nginx | sed -n "/evenkeel-${base##*/}-/d; s/^server //p; /^conflict /p")
  printf '%s\n' "$not_ours" | while read -r site port state; do
    host=$(printf '%s\n' "$2" | awk -v site="$site" '$1 == site { print $2; exit }')
    case $state in
    refused) echo "nobody listens on port $port, where site/$site is asked for $host" ;;
    silent) echo "nothing answers in time on port $port, where site/$site is asked for $host" ;;
    *)
      echo "nginx answers for $host on port $port with another server block than that of site/$site:"
      # Those on this address alone, else those with its name, else those that may take any name.
      printf '%s\n' "$servers" | awk -F '\t' -v host="$host" -v on="${1:-127.0.0.1}:$port" '
        { line = "  " $1 " (listen " $2 "; server_name " $3 ")\n" }
        index("," $2, "," on) { address = address line }
        index(" " $3 " ", " " host " ") { named = named line }
        $2 ~ /default/ || $3 ~ /~/ { any = any line }
        END { printf "%s", address != "" ? address : named != "" ? named : any }' | head -n 5
      ;;
    esac
  done
  return 1
}

release_nginx() {
  if systemctl is-active --quiet nginx.service; then
    nginx -t && record nginx - nginx.service && systemctl reload nginx.service
  fi
}

# A line as the whole of a small file, in force or not there.
put() { # FILE LINE
  printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -fT -- "$1.new" "$1" && sync "$base"
}

# Whether this unit may write to each folder, or to where it would be made. Status 77 (EX_NOPERM): the host does not let
# it, whatever is to be written.
writable() { # FOLDER...
  for folder; do
    while [ ! -e "$folder" ] && [ "${folder%/*}" ]; do folder=${folder%/*}; done
    [ -w "$folder" ] && continue
    echo "$own_unit cannot write to $folder on this host, whatever is deployed"
    return 77
  done
}

# Takes the instance for this deployment. MANIFEST is the digest it must have, or `absent`; into the folders it writes.
begin() { # MANIFEST FOLDER...
  expected=$1
  shift
  writable "$base" "$@" || return
  newest=0
  open=$name
  [ -e "$base/generation" ] && read -r newest <"$base/generation"
  [ -e "$base/open" ] && read -r open <"$base/open"
  # More digits than a shell counts with would switch the comparison off.
  case $newest in
  '' | *[!0-9]* | ????????????????*)
    echo "$base/generation holds no generation; log in there, write the last true one to it, and plan again"
    return "$overtaken"
    ;;
  esac
  if [ "$newest" -gt "$generation" ]; then
    echo "this instance has seen generation $newest; generation $generation is older; plan again"
    return "$overtaken"
  fi
  if [ "$open" != "$name" ]; then
    echo "deployment $open was begun here, and is neither finished nor undone; plan again"
    return "$overtaken"
  fi
  if [ -e "$base/deployments/$name/undoing" ]; then
    echo "deployment $name has been undone here meanwhile; plan again"
    return "$overtaken"
  fi
  still "$base/manifest" "$expected" || return
  : >"$journal" && mkdir -p "$directory/kept" && sync "$journal" "$directory" || return 1
  # One that goes on after its end, as a recovery may have it, is finished no more.
  finished=$base/deployments/$name/finished
  [ ! -e "$finished" ] || { rm -f -- "$finished" && sync "${finished%/*}"; } || return 1
  put "$base/generation" "$generation" && put "$base/last" "$name" && put "$base/open" "$name" &&
    keep "$base/manifest"
}

own() { install_file "$1" "$base/manifest" 0600; } # PAYLOAD

# The key of the digests in the manifest, before the first of them. Another one would tell other digests.
take_key() { # PAYLOAD
  [ -e "$base/key" ] || install_file "$1" "$base/key" 0600 || return 1
  cmp -s -- "$payload/$1" "$base/key" && return 0
  echo "$base/key was made by another deployment meanwhile; plan again"
  return "$overtaken"
}

# Folders from the outermost on: once nobody else can write to one, nobody can put a link in the place of what lies in it.
mend_folder() { # PATH MODE
  [ -d "$1" ] && [ ! -L "$1" ] && chown -h root -- "$1" && chmod "$2" -- "$1" && return 0
  echo "$1 is no folder; plan again"
  return "$overtaken"
}

# The manifest has been written anew by then.
seal() { [ ! -e "$base/key" ] || { chown -- root:root "$base/key" && chmod -- 0600 "$base/key"; }; }

# The last phase here is done. Of older deployments the ten newest are kept.
finish() { # KEEP
  : >"$base/deployments/$name/finished" && sync "$base/deployments/$name" || return 1
  rm -rf -- "$base/open" "$base/deployments/$name/reserve" "$base/deployments/$name/reserved-files" && sync "$base" || return 1
  rm -rf -- "$base/deployments/$name"/*/payload
  # shellcheck disable=SC2012 # the names there are ours: digits, letters, hyphens
  ls -1t "$base/deployments" | tail -n +11 | while read -r old; do
    [ "$old" = "$name" ] || rm -rf -- "${base:?}/deployments/${old:?}"
  done
  collect_releases "$1"
  # A virtual environment stays while the manifest or a deployment that is kept names it: to go back to it
  # takes no network.
  rm -rf -- "${base:?}/venvs/.new"
  for venv in "$base"/venvs/*; do
    [ ! -e "$venv" ] || grep -qrsF -- "${venv##*/}" "$base/manifest" "$base/deployments" || rm -rf -- "$venv"
  done
}
