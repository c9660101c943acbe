# What apply.sh does with units, and what it asks before one of them starts.
# shellcheck disable=SC2154 # variables and functions of apply.sh
# For systemd to read all its files again it takes generators, and a processor for a while. Units that are new it reads as
# they are, once they start: unless it has others of these names in mind, or says that it must. That it says of all units or
# of none (from systemd 255 on, once one was enabled), so one is asked about.
daemon_reload() { # UNIT..., where nothing but these, which are new, has changed
  if [ "$#" != 0 ] && others=$(in_memory "$@") && [ ! "$others" ] &&
    state=$(systemctl show -p LoadState -p UnitFileState -p NeedDaemonReload -- "$1"); then
    as_it_is=0
    for word in $state; do
      case $word in LoadState=loaded | UnitFileState=enabled | NeedDaemonReload=no) as_it_is=$((as_it_is + 1)) ;; esac
    done
    [ "$as_it_is" != 3 ] || return 0
  fi
  systemctl daemon-reload
}

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
# Stops a unit that ran before evenkeel. An alias on this host may name a unit that the host needs to stay reachable:
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
  # A unit that is new is overlooked where its folder was read within the same tick of the clock that dates changes.
  if [ "$(systemctl show --value -p LoadState -- "$2")" = not-found ]; then
    systemctl daemon-reload && systemctl "$1" -- "$2" && return 0
  fi
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
  looked_at=$starts
  [ ! "${kept_units:-}" ] || looked_at=$units
  [ "$looked_at" ] || return 0
  listening=$(ss -Hltn 2>/dev/null)
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
