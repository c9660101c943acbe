# Puts back what a deployment changed on this host, from what was kept: phase by phase, newest first, and
# in each traffic before processes. Arguments: the phases; none: all; `open`: all, if it is neither finished
# nor undone. Safe to run again after a cut. Set before: base, name. Goes on after an error within a phase,
# says each, and ends with 1 when there was one.
#
# Undo takes phase by phase, the newest first, and reads each journal backwards: traffic first, then units that did
# not run before stop, then files, the manifest last, then what ran before runs again. It can be run again after a
# cut; done, it leaves the file `undone` with each phase and with the deployment. A phase that fails is undone by
# its own host; the phases before it by the controller, each on all instances before the one that came before it.
# The ten newest deployments are kept.
#
# shellcheck disable=SC2154,SC2317 # variables that are set before; functions that are called by `try`
set -u
deployment=$base/deployments/$name
tab=$(printf '\t')
newline='
'
# shellcheck disable=SC2010 # the names there are ours
phases() { ls -1 "$deployment" 2>/dev/null | grep -x '[0-9][0-9]*' | sort -rn; }

trouble() {
  failed=1
  printf 'undo-failed\t%s\t%s\n' "$1" "$(printf '%.3000s' "${2:-it failed and said nothing}" | tr '\n\t' '\036 ')" >>"$events"
}
try() { # SUBJECT COMMAND...
  subject=$1
  shift
  output=$("$@" 2>&1) || trouble "$subject" "$output"
}
# A cut may leave a part of a line at the end. It was never in force, so what it was to undo had not begun; and without
# the end of its line it would be read as one with the line before.
newest_first() {
  if [ "$(tail -c 1 -- "$journal")" ]; then sed '$d' "$journal" | tac; else tac "$journal"; fi
}

# What was never written needs no restoring, and where nothing can be written it could not be.
as_kept() { # KEPT PATH
  [ -f "$1" ] && [ ! -L "$1" ] && [ -f "$2" ] && [ ! -L "$2" ] && cmp -s -- "$1" "$2" &&
    [ "$(stat -c '%f %u:%g %Y' -- "$1")" = "$(stat -c '%f %u:%g %Y' -- "$2")" ]
}
restore() { # kept|absent NUMBER PATH
  beside=${3%/*}/.evenkeel-new-${base##*/}
  [ ! -e "$beside" ] || rm -rf -- "$beside" || return 1
  case $1 in
  kept)
    as_kept "$directory/kept/$2" "$3" && rm -f -- "$3.evenkeel-new" && return 0
    rm -rf -- "$3.evenkeel-new" && mkdir -p -- "${3%/*}" && cp -a -T -- "$directory/kept/$2" "$3.evenkeel-new" &&
      mv -fT -- "$3.evenkeel-new" "$3" && sync "${3%/*}"
    ;;
  absent) rm -f -- "$3" "$3.evenkeel-new" ;;
  esac
}
# One that never came to be cannot be stopped.
stop() { [ "$(systemctl show --value -p ActiveState -- "$1")" = inactive ] || systemctl stop -- "$1"; }
disable() { ! systemctl is-enabled --quiet -- "$1" 2>/dev/null || systemctl disable --no-reload --quiet -- "$1"; }
# The units of which the journal says so, the newest first.
noted() { # active|enabled WAS
  while IFS=$tab read -r kind was unit; do
    # shellcheck disable=SC2254 # a pattern is one
    case $kind-$was in "$1"-$2) printf '%s\n' "$unit" ;; esac
  done <<END
$lines
END
}
# Asks of units what `state_of` tells of each then: one question for all.
ask() { # UNIT...
  states=$newline
  [ "$#" != 0 ] || return 0
  said=$(systemctl show -p LoadState -p ActiveState -p UnitFileState -p InvocationID -- "$@" 2>/dev/null)
  load=- active=- file=- invocation=-
  # Blocks in the order of the names, with an empty line after each.
  while IFS= read -r line; do
    case $line in
    LoadState=?*) load=${line#*=} ;;
    ActiveState=?*) active=${line#*=} ;;
    UnitFileState=?*) file=${line#*=} ;;
    InvocationID=?*) invocation=${line#*=} ;;
    '')
      [ "$#" != 0 ] || break
      states="$states$1 $load $active $file $invocation$newline"
      load=- active=- file=- invocation=-
      shift
      ;;
    esac
  done <<END
$said

END
}
# Sets load, active, file and invocation; `-` for what systemd did not tell.
state_of() { # UNIT
  case $states in
  *"$newline$1 "*) said=${states#*"$newline$1 "} ;;
  *) said='- - - -' ;;
  esac
  read -r load active file invocation <<END
${said%%"$newline"*}
END
}
reload_nginx() { nginx -t && systemctl reload nginx.service; }

# Does something with the ports of copies that nginx was led from and to.
led() { # COMMAND
  while IFS=$tab read -r kind seconds ports; do
    [ "$kind" != led ] || "$1" "$seconds" "${ports% *}" "${ports#* }"
  done <<END
$lines
END
}
# A copy that was started again a moment ago takes no requests yet. Where it does not in time, nobody is helped by waiting.
listened() { # SECONDS OLD NEW
  tries=0
  until [ "$2" = - ] || [ "$tries" = 300 ] || [ "$(ss -Htln "( sport = :$2 )" 2>/dev/null | head -n 1)" ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
}
# What is under way at a copy that will be stopped is answered first.
left_alone() { drained "$3" "$1" 127.0.0.1 || :; } # SECONDS OLD NEW

# Whoever it belongs to may have ended it while this waited for its turn.
if [ "${1:-}" = open ]; then
  shift
  [ -e "$base/open" ] && read -r open <"$base/open" && [ "$open" = "$name" ] || exit 0
  # Power went between the two in `finish`: it is live, and recorded so.
  if [ -e "$deployment/finished" ] && [ ! -e "$deployment/undoing" ]; then
    rm -rf -- "$base/open" "$deployment/reserve" "$deployment/reserved-files" && sync "$base"
    exit
  fi
fi

# What was set aside for this.
rm -rf -- "$deployment/reserve" "$deployment/reserved-files"

# Everything but what runs: 1 where something could not be put back.
put_back() {
  # Traffic.
  led listened
  newest_first | (
    while IFS=$tab read -r kind number path; do
      case $path in /etc/nginx/* | */sites/*/current | */sites/*/previous-*)
        case $kind in kept | absent) try "$path" restore "$kind" "$number" "$path" ;; esac
        ;;
      esac
    done
    exit "$failed"
  ) || failed=1
  if grep -q "^nginx$tab" "$journal" && systemctl is-active --quiet nginx.service; then try nginx.service reload_nginx; fi
  led left_alone

  # What did not run before stops while its unit file is still there. All units in one call of a kind; where that fails,
  # each by itself, so that it is told which one does.
  # shellcheck disable=SC2046 # names of units, one word each
  ask $(noted active no) $(noted enabled no)
  units=
  for unit in $(noted active no); do
    state_of "$unit"
    [ "$active" = inactive ] || units="$units $unit"
  done
  # shellcheck disable=SC2086 # names of units, one word each
  [ ! "$units" ] || systemctl stop -- $units >/dev/null 2>&1 || for unit in $units; do try "$unit" stop "$unit"; done
  units=
  for unit in $(noted enabled no); do
    state_of "$unit"
    case $load-$file in -* | *-enabled) units="$units $unit" ;; esac
  done
  # shellcheck disable=SC2086
  [ ! "$units" ] || systemctl disable --no-reload --quiet -- $units >/dev/null 2>&1 ||
    for unit in $units; do try "$unit" disable "$unit"; done

  # Every other file; the manifest was kept first and so comes back last.
  newest_first | (
    while IFS=$tab read -r kind number path; do
      case $path in /etc/nginx/* | */sites/*/current | */sites/*/previous-*) continue ;; esac
      case $kind in kept | absent) try "$path" restore "$kind" "$number" "$path" ;; esac
    done
    exit "$failed"
  ) || failed=1
  try daemon-reload systemctl daemon-reload

  # A virtual environment is not undone. What ran from the one before it must be started again some time.
  if [ -e "$directory/renewed" ]; then
    while read -r unit; do
      case $(started_with "$unit") in '' | -) ;; *) try "$base/manifest" set_started_with "$unit" - ;; esac
    done <"$directory/renewed"
  fi

  # A unit that failed outlives its file in systemd's memory.
  # shellcheck disable=SC2046 # names of units, one word each
  ask $(noted active no)
  units=
  for unit in $(noted active no); do
    state_of "$unit"
    [ "$load" != not-found ] || units="$units $unit"
  done
  # shellcheck disable=SC2086 # names of units, one word each
  [ ! "$units" ] || systemctl reset-failed --quiet -- $units 2>/dev/null
  return "$failed"
}

# What the manifest says a unit was started with; `-`: it is not known.
started_with() { # UNIT
  awk -F "$tab" -v unit="$1" '$1 == "unit" && $4 == unit { print $2 }' "$base/manifest" 2>/dev/null
}
set_started_with() { # UNIT INPUTS
  # No moment in which others read it.
  (umask 077 && awk -F "$tab" -v OFS="$tab" -v unit="$1" -v inputs="$2" '$1 == "unit" && $4 == unit { $2 = inputs } { print }' \
    "$base/manifest" >"$base/manifest.evenkeel-new") && sync "$base/manifest.evenkeel-new" &&
    mv -fT -- "$base/manifest.evenkeel-new" "$base/manifest" && sync "$base"
}
# What could not be started again may run from what is undone here: the manifest must not say otherwise.
forget_start() { # UNIT
  inputs=$(started_with "$1")
  case $inputs in '' | -) return 0 ;; esac
  printf '%s\t%s\n' "$inputs" "$1" >>"$directory/forgotten" && sync "$directory/forgotten" && set_started_with "$1" -
}
remember_start() { # UNIT
  [ -e "$directory/forgotten" ] || return 0
  while IFS=$tab read -r inputs unit_then; do
    [ "$unit_then" != "$1" ] || set_started_with "$1" "$inputs" || return 1
  done <"$directory/forgotten"
}
start_again() { # UNIT
  if output=$(systemctl restart -- "$1" 2>&1); then
    try "$base/manifest" remember_start "$1"
  else
    trouble "$1" "$output"
    try "$base/manifest" forget_start "$1"
  fi
}

# A unit that was not started since was never started from what is undone here.
runs_as_before() { # UNIT
  [ "$active" = active ] || return 1
  case $newline$lines$newline in *"${newline}active${tab}yes-$invocation$tab$1$newline"*) ;; *) return 1 ;; esac
}
# Whether it was started after `ask`.
runs_anew() { # UNIT
  earlier=$invocation
  ask "$1" && state_of "$1" && [ "$active" = active ] && [ "$invocation" != "$earlier" ]
}

start_all_again() { # UNIT...
  if systemctl restart -- "$@" >/dev/null 2>&1; then
    for unit; do try "$base/manifest" remember_start "$unit"; done
    return
  fi
  asked=$states
  for unit; do
    states=$asked
    state_of "$unit"
    if runs_anew "$unit"; then try "$base/manifest" remember_start "$unit"; else start_again "$unit"; fi
  done
}

# What ran before runs again, as it did. What crashed until systemd gave up may start again: it is another version now.
# A unit whose file was not there before cannot run as it did; what was started since must not go on.
run_again() {
  # shellcheck disable=SC2046 # names of units, one word each
  ask $(noted enabled yes)
  for unit in $(noted enabled yes); do
    state_of "$unit"
    case $load-$file in not-found-* | *-enabled) ;; *) try "$unit" systemctl enable --quiet -- "$unit" ;; esac
  done

  # shellcheck disable=SC2046
  ask $(noted active 'yes-*') $(noted active tries)
  units=
  for unit in $(noted active 'yes-*'); do
    state_of "$unit"
    if [ "$unit" = nginx.service ] || runs_as_before "$unit"; then continue; fi
    if [ "$load" = not-found ]; then try "$unit" stop "$unit"; else units="$units $unit"; fi
  done
  tries=
  for unit in $(noted active tries); do
    state_of "$unit"
    [ "$unit" != nginx.service ] || continue
    if [ "$load" = not-found ]; then try "$unit" stop "$unit"; else tries="$tries $unit"; fi
  done
  # shellcheck disable=SC2086 # names of units, one word each
  [ ! "$units$tries" ] || systemctl reset-failed --quiet -- $units $tries 2>/dev/null
  # The first replica of each service, then the second: while one of them ends and starts, the others answer.
  while [ "$units" ]; do
    turn='' later='' seen=' '
    for unit in $units; do
      case $seen in
      *" ${unit%@*} "*) later="$later $unit" ;;
      *) turn="$turn $unit" seen="$seen${unit%@*} " ;;
      esac
    done
    # shellcheck disable=SC2086
    start_all_again $turn
    units=$later
  done
  # What did not come up before need not come up now.
  for unit in $tries; do try "$unit" systemctl restart --no-block -- "$unit"; done
  return "$failed"
}

# A phase is undone when everything lies there as before. A process that does not run again is told, and
# tried again when asked; it does not keep the instance from ever being changed again.
undo_phase() { # PHASE
  directory=$deployment/$1
  journal=$directory/journal
  events=$directory/events
  failed=0
  if [ ! -e "$journal" ]; then return 0; fi
  lines=$(newest_first)
  if [ ! -e "$directory/undone" ]; then
    put_back || return 1
    : >"$directory/not-running" && : >"$directory/undone" && sync "$directory/undone" "$directory" || return 1
  fi
  if [ -e "$directory/not-running" ]; then run_again && rm -f -- "$directory/not-running"; fi
}

# Before a deployment has a line in a journal it has changed nothing.
has_changed() {
  for number in $(phases); do [ -s "$deployment/$number/journal" ] && return 0; done
  return 1
}
# What was begun here later lies over this by now, unless it is undone. One that was cut off before it was the last to
# begin has nothing to put back.
last=
[ -e "$base/last" ] && read -r last <"$base/last"
if [ "${last:-$name}" != "$name" ] && [ ! -e "$base/deployments/$last/undone" ] && [ ! -e "$deployment/undone" ] && has_changed; then
  for phase in $(phases); do
    events=$deployment/$phase/events
    trouble "deployment $name" "deployment $last was begun here since; this one cannot be undone any more"
    break
  done
  exit 1
fi

begun() {
  for number in $(phases); do [ -e "$deployment/$number/journal" ] && return 0; done
  return 1
}
# From here on it is neither finished nor undone, wherever it is cut off: nothing goes on from there.
if begun && [ ! -e "$deployment/undone" ]; then
  : >"$deployment/undoing" && sync "$deployment"
  if [ ! -e "$base/open" ]; then
    printf '%s\n' "$name" >"$base/open.new" && sync "$base/open.new" && mv -fT -- "$base/open.new" "$base/open" && sync "$base"
  fi
fi

# shellcheck disable=SC2046 # numbers
if [ $# = 0 ]; then set -- $(phases); fi
status=0
for phase; do
  # An older phase's files must not come back before a newer one's: the newer would lie over them at last.
  undo_phase "$phase" || status=1
  if [ -e "$deployment/$phase/journal" ] && [ ! -e "$deployment/$phase/undone" ]; then break; fi
done

for phase in $(phases); do
  if [ -e "$deployment/$phase/journal" ] && [ ! -e "$deployment/$phase/undone" ]; then exit "$status"; fi
done
if [ -d "$deployment" ]; then
  : >"$deployment/undone" && sync "$deployment"
  open=
  [ -e "$base/open" ] && read -r open <"$base/open"
  if [ "$open" = "$name" ]; then rm -f -- "$base/open" && sync "$base"; fi
fi
exit "$status"
