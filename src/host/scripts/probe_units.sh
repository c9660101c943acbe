# Units, and what changes them besides their files. Part of the probe, after probe.sh, drop_ins.sh and way_in.sh.
#
# What systemd tells of units is what a look takes most of, and most of that goes into units that are not there: for each
# of them systemd searches its folders anew. A unit without a file is asked about by a pattern instead, to which systemd
# answers from what it has loaded, and with nothing where it has not.
#
# shellcheck disable=SC2154,SC2086 # variables that are set before; lists of checked names, split on purpose
with_file='' without_file='' patterns=''
for unit in $units; do
  if has_file "$unit"; then
    with_file="$with_file $unit"
  else
    without_file="$without_file $unit" patterns="$patterns [${unit%"${unit#?}"}]${unit#?}"
  fi
done

# Blocks in the order of the names with a file, and then of what is loaded without. Drop-ins are other words in that answer;
# those with a blank in their names are told in quotes, and not read. Where systemd has not read what is on disk, the
# drop-ins there are told too.
directories=
changing=$newline
unread=
if [ "$units" ]; then
  section units "$with_file"
  section units-without-file "$without_file"
  asks systemctl
  show_units() {
    systemctl show --all -p Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,Result \
      -p ExecMainStatus,FragmentPath,DropInPaths,NeedDaemonReload -- $with_file $patterns
  }
  if states=$(show_units 2>/dev/null); then
    section states "$states"
    set -- $with_file
    # Of what systemd had to start again, since when it runs. Either of the two may come first.
    process='' restarts='' ages=''
    for word in $states; do
      case $word in
      Id=*) unit=${1:-"${word#Id=}"} ;;
      MainPID=*)
        process=${word#MainPID=}
        [ "$process" = 0 ] || directories="$directories$newline/proc/$process/cwd"
        ;;
      NRestarts=*) restarts=${word#NRestarts=} ;;
      DropInPaths=/* | /*.conf)
        word=${word#DropInPaths=}
        case $changing in *"$newline$word$newline"*) ;; *) changing=$changing$word$newline ;; esac
        continue
        ;;
      NeedDaemonReload=*)
        if [ "$word" = NeedDaemonReload=yes ]; then
          set +f
          drop_ins_on_disk "$unit"
          set -f
          unread="$unread$newline$unit$found"
          changing="$changing${found#"$newline"}$newline"
        fi
        [ $# = 0 ] || shift
        continue
        ;;
      *) continue ;;
      esac
      if [ ! "$process" ] || [ ! "$restarts" ]; then continue; fi
      if [ "$process" != 0 ] && [ "$restarts" != 0 ]; then
        { read -r stat <"/proc/$process/stat" && ages="$ages$newline$process ${stat##*) }"; } 2>/dev/null
      fi
      process='' restarts=''
    done
    section unread "$unread"
    if [ "$ages" ]; then
      read -r uptime _ </proc/uptime
      section ages "$uptime$ages"
    fi
  else
    section '?states' "$(show_units 2>&1)"
  fi
fi

# The unit that carries a deployment out is there only while it does.
set +f
drop_ins_on_disk "$own_unit"
set -f
section own-drop-ins "${found#"$newline"}"
changing="$changing${found#"$newline"}$newline"

# What drop-ins set.
seen=$newline
IFS=$newline
for path in $changing; do
  case $seen in *"$newline$path$newline"*) continue ;; esac
  [ "$drop_ins" -gt 0 ] || break
  case $path in *' '*) continue ;; esac
  if [ -f "$path" ]; then
    seen=$seen$path$newline drop_ins=$((drop_ins - 1))
    section "drop-in$path" "$(head -c "$drop_in_bytes" -- "$path" 2>/dev/null)"
  fi
done
unset IFS

way_in
section way "$way"
