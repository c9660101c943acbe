# Who has which port. Part of the probe where that is asked, after probe.sh.
#
# shellcheck disable=SC2154,SC2086 # variables that are set before; lists of checked names, split on purpose
#
# Who listens, and in which control group (which names its unit) each listener's process is. Hosts with
# several hierarchies have a line for each; those of systemd say the same.
asks ss
if listeners=$(ss -Hltnp 2>/dev/null); then
  section listeners "$listeners"
  seen=' '
  groups=
  rest=$listeners
  while :; do
    case $rest in *pid=*) rest=${rest#*pid=} ;; *) break ;; esac
    pid=${rest%%[!0-9]*}
    case $seen in *" $pid "*) continue ;; esac
    seen="$seen$pid "
    # A process that has gone meanwhile has no group.
    while IFS= read -r line; do
      case $line in 0::/?* | *:name=systemd:/?*) groups="$groups$pid ${line#*:*:}$newline" && break ;; esac
    done 2>/dev/null <"/proc/$pid/cgroup"
  done
  section groups "$groups"

  # Who holds a port that is asked about, and is not the unit that should: its command, when it began, and which programs
  # its unit runs. Only there, for this takes programs.
  strangers=
  IFS=$newline
  for line in $listeners; do
    unset IFS
    set -- $line
    case " $ports " in *" ${4##*:} "*) ;; *) continue ;; esac
    case $line in *pid=*) pid=${line#*pid=} pid=${pid%%[!0-9]*} ;; *) continue ;; esac
    group=$newline$groups
    case $group in *"$newline$pid "*) group=${group#*"$newline$pid "} group=${group%%"$newline"*} ;; *) group= ;; esac
    case ${group##*/} in
    nginx.service | *"@${4##*:}.service") case " $units " in *" ${group##*/} "*) continue ;; esac ;;
    esac
    case $strangers in *"$newline$pid$tab"*) continue ;; esac
    stat='' command=''
    { read -r stat <"/proc/$pid/stat" && command=$(head -c 1000 "/proc/$pid/cmdline" | tr '\0\n\t' '   '); } 2>/dev/null
    strangers="$strangers$newline$pid$tab${stat##*) }$tab$command$tab"
    for processes in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
      processes=$processes$group/cgroup.procs number=0
      if [ ! "$group" ] || [ ! -r "$processes" ]; then continue; fi
      while read -r process && number=$((number + 1)) && [ $number -le 200 ]; do
        read -r program <"/proc/$process/comm" && strangers="$strangers$program/"
      done 2>/dev/null <"$processes"
      break
    done
  done
  unset IFS
  if [ "$strangers" ]; then
    read -r uptime _ </proc/uptime
    section strangers "$uptime$strangers"
  fi
else
  section '?listeners' "$(ss -Hltnp 2>&1 >/dev/null) (package iproute2 has ss)"
fi
