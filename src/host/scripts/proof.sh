# How a unit runs, and who has its port. Set before: unit, port, asked (empty: who has the port is told only where the unit
# does not run). Answers with `systemctl show`, `uptime SECONDS`, `main STAT` of its main process, what ss prints, and of each
# process that listens `PID GROUP`; of those that are not the unit's `stranger PID<tab>STAT<tab>COMMAND<tab>`, too.
# shellcheck disable=SC2154 # variables that are set before
state=$(systemctl show -p ActiveState,SubState,NRestarts,Result,ExecMainStatus,MainPID -- "$unit" 2>&1) ||
  { printf '%s\n' "$state"; exit 1; }
printf '%s\n' "$state"
read -r uptime _ </proc/uptime && echo "uptime $uptime"
pid=${state##*MainPID=}
pid=${pid%%[!0-9]*}
{ [ "${pid:-0}" = 0 ] || { read -r stat <"/proc/$pid/stat" && echo "main ${stat##*) }"; }; } 2>/dev/null
[ "$asked" ] || case $state in *ActiveState=active*) exit 0 ;; esac
listeners=$(ss -Hltnp "sport = :$port" 2>&1) || { echo "?$listeners"; exit 0; }
printf '%s\n' "$listeners"
rest=$listeners number=0
while [ $((number += 1)) -le 200 ]; do
  case $rest in *pid=*) rest=${rest#*pid=} ;; *) break ;; esac
  pid=${rest%%[!0-9]*} group=
  while IFS= read -r line; do
    case $line in 0::/?* | *:name=systemd:/?*) group=${line#*:*:} && echo "$pid $group" && break ;; esac
  done <"/proc/$pid/cgroup"
  case $group in *"/$unit" | *"/$unit/"*) continue ;; esac
  read -r stat <"/proc/$pid/stat" &&
    printf 'stranger %s\t%s\t%s\t\n' "$pid" "${stat##*) }" "$(head -c 1000 "/proc/$pid/cmdline" | tr '\0\n\t' '   ')"
done 2>/dev/null
exit 0
