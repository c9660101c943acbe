# Prints an events file as it grows, to its `end`. Set before: deployment, events, unit. After launch.sh.
# A unit that is gone without an end was cut off: the host went down under it, or somebody killed what systemd runs after
# it. Empty lines tell that the host is there, every two seconds of silence.
# shellcheck disable=SC2154 # variables that are set before

# One that ended without any events was kept from writing them, as a drop-in for all services does that hardens them.
tries=0
until [ -e "$events" ]; do
  tries=$((tries + 1))
  if [ "$tries" = 100 ]; then
    tries=0
    echo
    if ! runs && [ ! -e "$events" ]; then
      drop_ins_on_disk "$unit"
      found=$(printf '%s' "$found" | sed 1d | tr '\n' ' ')
      printf 'failed\tbegin\thost\t%s cannot write to %s on this host%s\nend\thindered\t-\n' "$unit" "$deployment" \
        "${found:+; systemd adds to it what evenkeel did not write: ${found% } (a plan tells what exempts it)}"
      exit 0
    fi
  fi
  sleep 0.02
done
# Each pause of the shell's own would be a program, on a host that has something better to do: `tail` waits for the file
# to grow, and only wakes whoever reads it; a clock wakes it, too. Where the kernel does not tell tail (overlay and network
# file systems), tail looks 20 times a second, not once: whoever waits for the end of a phase waits for nothing else.
{
  while sleep 0.5; do echo; done &
  exec sh -c 'echo "by $$ $1"; exec tail -n +1 -s 0.05 -f -- "$2"' sh "$!" "$events"
} 2>/dev/null | {
  by='' quiet=0
  woken() { read -r line || sleep 0.5; case $line in 'by '*) by=${line#by } ;; esac; }
  while :; do
    if IFS= read -r line <&4; then
      quiet=0
    else
      # An empty line is the clock's.
      woken
      [ ! "$line" ] || continue
      quiet=$((quiet + 1))
      [ "$quiet" -ge 4 ] || continue
      quiet=0
      echo
      if runs; then continue; fi
      IFS= read -r line <&4 || line='end	cut-off	-'
    fi
    printf '%s\n' "$line"
    case $line in end*) break ;; esac
  done 4<"$events"
  while [ ! "$by" ]; do woken; done
  # shellcheck disable=SC2086 # two of them
  kill $by 2>/dev/null || :
}
