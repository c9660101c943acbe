# How units run, and who has their ports. Set before: units (separated by blanks), replicas (`UNIT PORT ASKED`, separated
# by blanks, in the same order; ASKED is `no` where who has the port is told only if the unit does not run).
# Answers, for each unit, with a line `unit UNIT`, what `systemctl show` prints and `main STAT` of its main process; then
# with `uptime SECONDS`, what ss prints, and, of each process that listens, `PID GROUP`; of those that are not the unit's
# with `stranger PID<tab>STAT<tab>COMMAND<tab>`, too.
# shellcheck disable=SC2154,SC2086 # variables that are set before; names of units and numbers, one word each
newline='
'
states=$(systemctl show -p ActiveState,SubState,NRestarts,Result,ExecMainStatus,MainPID -- $units 2>&1) ||
  { printf '%s\n' "$states"; exit 1; }
set -- $replicas
number=0 filter='' owners=$newline
echo "unit ${1-}"
# Blocks in the order of the names, with an empty line between them.
while IFS= read -r line; do
  case $line in
  '')
    [ $# -gt 3 ] || break
    shift 3
    echo "unit $1"
    continue
    ;;
  ActiveState=*)
    case $line-$3 in ActiveState=active-no) ;; *)
      number=$((number + 1)) filter="$filter or sport = :$2" owners="$owners$2 $1$newline"
      ;;
    esac
    ;;
  MainPID=[1-9]*) { read -r stat <"/proc/${line#*=}/stat" && echo "main ${stat##*) }"; } 2>/dev/null ;;
  esac
  printf '%s\n' "$line"
done <<END
$states
END
read -r uptime _ </proc/uptime && echo "uptime $uptime"
[ "$filter" ] || exit 0
# The kernel compares each socket with each of the ports, and takes no filter without end.
if [ $number -le 64 ]; then set -- "( ${filter# or } )"; else set --; fi
listeners=$(ss -Hltnp "$@" 2>&1) || { echo "?$listeners"; exit 0; }
while read -r state receive send address peer users; do
  case $owners in *"$newline${address##*:} "*) ;; *) continue ;; esac
  owner=${owners#*"$newline${address##*:} "}
  owner=${owner%%"$newline"*}
  printf '%s %s %s %s %s %s\n' "$state" "$receive" "$send" "$address" "$peer" "$users"
  number=0
  while [ $((number += 1)) -le 200 ]; do
    case $users in *pid=*) users=${users#*pid=} ;; *) break ;; esac
    pid=${users%%[!0-9]*} group=
    while IFS= read -r line; do
      case $line in 0::/?* | *:name=systemd:/?*) group=${line#*:*:} && echo "$pid $group" && break ;; esac
    done <"/proc/$pid/cgroup"
    case $group in *"/$owner" | *"/$owner/"*) continue ;; esac
    read -r stat <"/proc/$pid/stat" &&
      printf 'stranger %s\t%s\t%s\t\n' "$pid" "${stat##*) }" "$(head -c 1000 "/proc/$pid/cmdline" | tr '\0\n\t' '   ')"
  done 2>/dev/null
done <<END
$listeners
END
exit 0
