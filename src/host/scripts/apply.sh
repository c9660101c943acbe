# What the steps of a phase do on a host. Run by the host's systemd as a transient unit, so that it goes
# on, or is undone, without the controller. Set before: base, name and generation (of this deployment),
# directory and events (of this phase of it), kept_units (patterns, where a unit is replaced). Order, always: the
# manifest owns a path before the path changes; what is replaced is kept and synced before it is replaced; a file is
# written beside its place, synced, and renamed.
#
# To start a program, and to wait for a disk, takes longer than all that the shell does by itself. So steps of one
# kind that follow one another are carried out as one (`together`).
# shellcheck disable=SC2154 # variables that are set before
set -u
umask 022
payload=$directory/payload
journal=$directory/journal
own_unit=evenkeel-${base##*/}.service
tab='	'
newline='
'
: >>"$events"

say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$events"; }
flat() { printf '%.3000s' "$1" | tr '\n\t' '\036 '; }

# Whose failure a step's is, by the status it ends with. A commit is quarantined only for what is named as its own:
# what nobody thought of is the instance's, and is tried again.
of_commit=65
overtaken=75

# Tells of a step that failed. Ends with 3, for whoever runs it then has nothing to tell.
failure() { # ID OUTPUT STATUS
  # A host that goes down ends what runs on it: that says nothing of the step.
  [ "$(systemctl is-system-running 2>/dev/null)" != stopping ] || exit 3
  failed_id=$1 output=$2 status=$3
  # On a disk that is full this is to be read all the same, and says more than `I/O error`.
  # A disk without a limit of inodes has `-` or 0 of them.
  IFS=' ' read -r room inodes inodes_left <<END
$(df -k --output=avail,itotal,iavail -- "$base" | tail -n 1)
END
  full=
  [ "${room:-0}" -ge 64 ] || full="the disk of $base is full"
  case ${inodes:-0}-${inodes_left:-0} in [1-9]*-0) full="the disk of $base is full: no inode is left" ;; esac
  if [ "$full" ]; then
    output="$output ($full)"
    [ "$status" = "$overtaken" ] || status=1
  fi
  rm -rf -- "$base/deployments/$name/reserve" "$base/deployments/$name/reserved-files"
  # What systemd adds to this very unit may be why.
  added=$(systemctl show --value -p DropInPaths -- "$own_unit")
  [ -z "$added" ] || output="$output (systemd adds to $own_unit what evenkeel did not write: $added; a plan tells what exempts it)"
  case $status in "$of_commit") cause=commit ;; "$overtaken") cause=overtaken ;; *) cause=host ;; esac
  printf 'failed\t%s\t%s\t%s\n' "$failed_id" "$cause" "$(flat "$output")" >>"$events"
}

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
    failure "$id" "$output" "$status"
    exit 1
  fi
}

# Runs the steps of a group as one. GROUP is a function that calls what it is given once for each of its steps, as
# `COMMAND... ID ARGUMENT...`. Few programs do for all steps what is to be done; where one of them fails, each step is done
# by itself, so that the step that cannot be done is told, and in its own words.
together() { # GROUP COMMAND
  group=$1 id=''
  "$group" tell started
  output=$("$2" 2>&1)
  status=$?
  case $status in
  0) "$group" tell 'done' ;;
  3) exit 1 ;;
  *)
    "$group" first
    failure "$id" "$output" "$status"
    exit 1
    ;;
  esac
}
tell() { say "$1" "$2" ''; }
first() { [ "$id" ] || id=$1; }

# Does something to each step of the group by itself, until one cannot be done.
one_by_one() { "$group" one "$1"; }
one() { # COMMAND ID ARGUMENT...
  command=$1 id=$2
  shift 2
  said=$("$command" "$@" 2>&1)
  status=$?
  [ "$status" != 0 ] || return 0
  failure "$id" "$said" "$status"
  exit 3
}

# Does something to the unit of each step by itself, and tells each that cannot be done: one says nothing of the next.
# Where five in a row say no, something else is wrong than a unit.
unit_by_unit() { # COMMAND
  failed='' in_a_row=0
  "$group" one_unit "$1"
  [ ! "$failed" ] || exit 3
}
one_unit() { # COMMAND ID UNIT ARGUMENT...
  command=$1 id=$2
  shift 2
  [ "$in_a_row" -lt 5 ] || return 0
  said=$("$command" "$@" 2>&1)
  status=$?
  if [ "$status" = 0 ]; then
    in_a_row=0
  else
    failed=yes in_a_row=$((in_a_row + 1))
    failure "$id" "$said" "$status"
  fi
}

# Lines of the journal, in force before what they undo. A cut may leave the first of them, and a part of the next one,
# which undoing passes over: what that line was to undo had not begun.
record() { # LINE...
  printf '%s\n' "$@" >>"$journal" && sync "$journal"
}

# What the journal has by now: lines, with a line break before the first.
recorded() {
  lines=$newline
  while IFS= read -r line; do lines=$lines$line$newline; done <"$journal"
}

# Keeps what lies at a path, once per phase.
keep() {
  recorded
  case $lines in *"$tab$1$newline"*) return 0 ;; esac
  # One that no other line has: the journal grows.
  number=${#lines}
  if [ -e "$1" ] || [ -L "$1" ]; then
    cp -a -T -- "$1" "$directory/kept/$number" || return 1
    # A link has no content to sync; its name is its folder's.
    set -- "$1" "$directory/kept/$number" "$directory/kept"
    if [ -L "$1" ]; then sync "$3"; else sync "$2" "$3"; fi || return 1
    record "kept$tab$number$tab$1"
  else
    record "absent$tab-$tab$1"
  fi
}

# Notes, once per phase, whether a unit was active or enabled; of one that ran, which of its starts that was. Of all
# units in one question, and in the journal before anything happens to the first.
note() { # active/UNIT|enabled/UNIT...
  noted=' '
  while IFS=$tab read -r kind _ unit; do noted="$noted$kind/$unit "; done <"$journal"
  asked='' asked_units='' records=''
  for word; do
    case $noted in *" $word "*) continue ;; esac
    noted="$noted$word " asked="$asked $word" asked_units="$asked_units ${word#*/}"
  done
  [ "$asked" ] || return 0
  # shellcheck disable=SC2086 # names of units, one word each
  states=$(systemctl show -p ActiveState -p UnitFileState -p InvocationID -- $asked_units) || return 1
  # shellcheck disable=SC2086
  set -- $asked
  active='' file='' invocation=''
  # Blocks in the order of the names, with an empty line after each.
  while IFS= read -r line; do
    case $line in
    ActiveState=*) active=${line#*=} ;;
    UnitFileState=*) file=${line#*=} ;;
    InvocationID=*) invocation=${line#*=} ;;
    '')
      if [ ! "$active" ] || [ "$#" = 0 ]; then break; fi
      # `activating` is what systemd's own restarts of a crashing process look like: it is meant to run, and tries.
      case ${1%%/*}-$active-$file in
      active-activating-*) was=tries ;;
      active-active-* | active-reloading-*) was=yes-$invocation ;;
      enabled-*-enabled) was=yes ;;
      *) was=no ;;
      esac
      records="$records${1%%/*}$tab$was$tab${1#*/}$newline"
      active='' file='' invocation=''
      shift
      ;;
    esac
  done <<END
$states

END
  if [ "$#" != 0 ]; then
    echo "systemd does not tell the state of ${1#*/}"
    return 1
  fi
  record "${records%"$newline"}"
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

# It comes with its rights.
install_file() { # PAYLOAD PATH
  { [ -d "${2%/*}" ] || mkdir -p -- "${2%/*}"; } &&
    cp --remove-destination --preserve=mode,ownership -T -- "$payload/$1" "$2.evenkeel-new" &&
    sync "$2.evenkeel-new" && mv -fT -- "$2.evenkeel-new" "$2" && sync "${2%/*}"
}

# Files and links change, and go, as one group, whose steps are `ID write|remove NUMBER PATH BEFORE`; GROUP_folders calls
# what it is given with each of their folders, as `COMMAND... NUMBER FOLDER`. What is to lie in it comes in
# payload/NUMBER, with its rights. Each pass ends, synced, before the next one begins:
# 1. Everything is as it was planned. Nothing has changed yet.
# 2. What lies there is kept, and then the journal says so of all. After a cut before that nothing has changed.
# 3. What comes is written beside its place: in a folder that nothing else reads, from where one rename leads there.
# 4. Removals and renames, in the order of the plan. Of these a cut may leave any done and any not: each path is as before
#    or as planned, never half, of each the journal has what was before, and the manifest has owned them all since 1.
# 5. The folders, so that all this lasts before anything is started from it, and before the manifest disowns.
change_files() {
  # Lists are of paths, one a line.
  set -f
  IFS=$newline
  beside=.evenkeel-new-${base##*/}
  all_as_planned || one_by_one as_planned
  keep_all || one_by_one keep_one
  prepare_all || one_by_one prepare_one
  put_all || one_by_one put_one
  sync_folders || one_by_one sync_one
}

as_planned() { still "$3" "$4"; } # write|remove NUMBER PATH BEFORE
all_as_planned() {
  paths='' digests='' is=''
  "$group" add_digest || return 1
  [ "$paths" ] || return 0
  # shellcheck disable=SC2086 # a list
  sums=$(sha256sum -- $paths) || return 1
  # Before a name with unusual characters stands a backslash.
  for line in $sums; do line=${line%% *} is=$is${line#\\}$newline; done
  [ "$is" = "$digests" ]
}
# Ends with 1 where something that needs no digest is not as planned, or once was not.
add_digest() { # ID write|remove NUMBER PATH BEFORE
  case $5 in
  absent | '-> '*) still "$4" "$5" ;;
  *) [ -f "$4" ] && [ ! -L "$4" ] && paths=$paths$4$newline digests=$digests$5$newline ;;
  esac
}

keep_one() { [ "$1-$4" = remove-absent ] || keep "$3"; } # write|remove NUMBER PATH BEFORE
keep_all() {
  recorded
  records='' synced=''
  "${group}_folders" keep_in || return 1
  # shellcheck disable=SC2086 # a list
  { [ ! "$synced" ] || sync $synced "$directory/kept"; } && { [ ! "$records" ] || record "${records%"$newline"}"; }
}
keep_in() { # NUMBER FOLDER
  number=$1 paths=''
  "$group" add_kept
  [ "$paths" ] || return 0
  # shellcheck disable=SC2086 # a list
  mkdir -p -- "$directory/kept/$1" && cp -a -t "$directory/kept/$1" -- $paths && synced=$synced$directory/kept/$1$newline
}
add_kept() { # ID write|remove NUMBER PATH BEFORE
  [ "$3" = "$number" ] || return 0
  case $2-$5$lines in remove-absent* | *"$tab$4$newline"*) return 0 ;; esac
  if [ "$5" = absent ]; then
    records=${records}absent$tab-$tab$4$newline
    return
  fi
  paths=$paths$4$newline records=${records}kept$tab$number/${4##*/}$tab$4$newline
  # A link has no content to sync; its name is its folder's.
  [ -L "$4" ] || synced=$synced$directory/kept/$number/${4##*/}$newline
}

prepare_one() { # write|remove NUMBER PATH BEFORE
  [ "$1" = write ] || return 0
  new=${3%/*}/$beside
  { [ -d "$new" ] || (umask 077 && mkdir -p -- "${3%/*}" && mkdir -- "$new"); } && rm -rf -- "${new:?}/${3##*/}" &&
    cp -P --preserve=mode,ownership -T -- "$payload/$2/${3##*/}" "$new/${3##*/}" && { [ -L "$new/${3##*/}" ] || sync "$new/${3##*/}"; }
}
prepare_all() {
  synced=''
  clear && "${group}_folders" prepare_in && "$group" add_new || return 1
  # shellcheck disable=SC2086 # a list
  [ ! "$synced" ] || sync $synced
}
# uutils' cp copies no folder with -T, and no link to a folder into a folder.
prepare_in() { # NUMBER FOLDER
  [ -e "$payload/$1" ] || return 0
  { [ -d "$2" ] || mkdir -p -- "$2"; } && [ ! -e "$2/$beside" ] &&
    cp -r --preserve=mode,ownership -- "$payload/$1" "$2/$beside"
}
add_new() { # ID write|remove NUMBER PATH BEFORE
  if [ "$2" = write ] && [ ! -L "${4%/*}/$beside/${4##*/}" ]; then synced=$synced${4%/*}/$beside/${4##*/}$newline; fi
}

put_one() { # write|remove NUMBER PATH BEFORE
  new=${3%/*}/$beside/${3##*/}
  if [ "$1-$4" = remove-absent ]; then return 0; fi
  if [ "$1" = remove ]; then rm -f -- "$3"; elif [ -e "$new" ] || [ -L "$new" ]; then mv -fT -- "$new" "$3"; fi
}
put_all() {
  paths=
  "$group" add_removed
  # shellcheck disable=SC2086 # a list
  { [ ! "$paths" ] || rm -f -- $paths; } && "${group}_folders" put_in
}
add_removed() { # ID write|remove NUMBER PATH BEFORE
  if [ "$2" = remove ] && [ "$5" != absent ]; then paths=$paths$4$newline; fi
}
put_in() { # NUMBER FOLDER
  number=$1 paths=''
  "$group" add_put
  # shellcheck disable=SC2086 # a list
  [ ! "$paths" ] || mv -f -t "$2" -- $paths
}
add_put() { # ID write|remove NUMBER PATH BEFORE
  if [ "$2-$3" = "write-$number" ]; then paths=$paths${4%/*}/$beside/${4##*/}$newline; fi
}

sync_one() { [ ! -d "${3%/*}" ] || sync "${3%/*}"; }
sync_folders() {
  clear
  # shellcheck disable=SC2086 # a list
  [ ! "$folders" ] || sync $folders
}
# Lists the folders, and takes away what a cut, or this group, has left beside the places.
clear() {
  folders='' left=''
  "${group}_folders" add_folder
  # shellcheck disable=SC2086 # a list
  [ ! "$left" ] || rm -rf -- $left
}
add_folder() { # NUMBER FOLDER
  [ ! -d "$2" ] || folders=$folders$2$newline
  [ ! -e "$2/$beside" ] || left=$left$2/$beside$newline
}

daemon_reload() { systemctl daemon-reload; }

# Before the first file changes: a host that boots in the middle starts units from what it finds then.
note_running() { note "$@"; } # active/UNIT|enabled/UNIT...

# A unit whose file somebody has removed cannot be disabled; it can run all the same.
disable() { systemctl disable --now --quiet -- "$1" || { ! systemctl cat -- "$1" >/dev/null 2>&1 && systemctl stop -- "$1"; }; }
# One that has failed would outlive its file in systemd's memory.
stop_unit() {
  note "active/$1" "enabled/$1" && disable "$1" || return 1
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
enable_unit() { note "enabled/$1" && systemctl enable --no-reload --quiet -- "$1"; }
# Deployments in quick succession are no crash loop: systemd must not count their starts (StartLimitBurst).
# A unit that has not failed cannot be reset; that is no error.
run_unit() { # start|restart UNIT
  note "active/$2" || return 1
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

# The units of a group, whose steps are `ID UNIT start|restart|stop|enable`, by one call of a kind. All of them are noted
# before the first is touched. systemd carries out each of many jobs, whatever becomes of the others.
stop_units() {
  of_group
  # shellcheck disable=SC2086 # names of units, one word each
  { note $notes && systemctl disable --now --quiet -- $units; } || unit_by_unit stop_unit
  # shellcheck disable=SC2086
  systemctl reset-failed --quiet -- $units 2>/dev/null
  return 0
}
enable_units() {
  of_group
  # shellcheck disable=SC2086 # names of units, one word each
  { note $notes && systemctl enable --no-reload --quiet -- $units; } || unit_by_unit enable_unit
}
run_units() {
  of_group
  # shellcheck disable=SC2086 # names of units, one word each
  {
    note $notes && ports_are_free &&
      { systemctl reset-failed --quiet -- $units 2>/dev/null || :; } &&
      { [ ! "$restarts" ] || systemctl restart -- $restarts; } &&
      { [ ! "$starts" ] || systemctl start -- $starts; }
  } || unit_by_unit run_unless_done
}
# Whether nobody listens on a port of what is started. Where somebody does, each unit is looked at by itself.
ports_are_free() {
  listening=$(ss -Hltn 2>/dev/null)
  looked_at=$starts
  [ ! "${kept_units:-}" ] || looked_at=$units
  for unit in $looked_at; do
    port=${unit##*@}
    case $listening in *":${port%.service} "*) return 1 ;; esac
  done
}
# What was started in the common call is not started a second time.
run_unless_done() { # UNIT start|restart
  note "active/$1" || return 1
  if systemctl is-active --quiet -- "$1"; then
    started=$(systemctl show --value -p InvocationID -- "$1")
    grep -qxF -- "active${tab}yes-$started$tab$1" "$journal" || return 0
  fi
  "${2}_unit" "$1"
}
of_group() {
  units='' notes='' starts='' restarts=''
  "$group" add_unit
}
add_unit() { # ID UNIT start|restart|stop|enable
  units="$units $2"
  case $3 in
  start) starts="$starts $2" notes="$notes active/$2" ;;
  restart) restarts="$restarts $2" notes="$notes active/$2" ;;
  stop) notes="$notes active/$2 enabled/$2" ;;
  enable) notes="$notes enabled/$2" ;;
  esac
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
  note active/nginx.service && record "nginx$tab-${tab}nginx.service" || return 1
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
    nginx -t && record "nginx$tab-${tab}nginx.service" && systemctl reload nginx.service
  fi
}

# Lines as the whole of small files of the base: each in force or not there.
put() { # (FILE LINE)...
  written=''
  while [ "$#" != 0 ]; do
    printf '%s\n' "$2" >"$base/$1.new" || return 1
    written="$written $1"
    shift 2
  done
  cd -- "$base" || return 1
  for file in $written; do set -- "$@" "$file.new"; done
  sync "$@" || return 1
  for file in $written; do mv -fT -- "$file.new" "$file" || return 1; done
  sync .
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
  # What `open` names could not be undone where `last` named another one: `last` must last before it.
  put generation "$generation" last "$name" && put open "$name" && keep "$base/manifest"
}

own() { install_file "$1" "$base/manifest"; } # PAYLOAD

# The key of the digests in the manifest, before the first of them. Another one would tell other digests.
take_key() { # PAYLOAD
  [ -e "$base/key" ] || install_file "$1" "$base/key" || return 1
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
  set -- "$1" "$base/deployments"/*
  # shellcheck disable=SC2012 # the names there are ours: digits, letters, hyphens
  [ "$#" -le 11 ] || ls -1t "$base/deployments" | tail -n +11 | while read -r old; do
    [ "$old" = "$name" ] || rm -rf -- "${base:?}/deployments/${old:?}"
  done
  collect_releases "$1"
  # A virtual environment stays while the manifest or a deployment that is kept names it: to go back to it
  # takes no network.
  [ ! -e "$base/venvs/.new" ] || rm -rf -- "${base:?}/venvs/.new"
  for venv in "$base"/venvs/*; do
    [ ! -e "$venv" ] || grep -qrsF -- "${venv##*/}" "$base/manifest" "$base/deployments" || rm -rf -- "$venv"
  done
}
